/* What is launched: nothing. */
int main(void) { return 0; }

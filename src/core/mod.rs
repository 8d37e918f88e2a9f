//! Facts and decisions. Pure: no files, sockets, processes, threads, clocks.

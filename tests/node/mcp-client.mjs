// Talks to an MCP server with the protocol's own client library, which checks every answer against the protocol and every
// structured result against the tool's schema. Usage: mcp-client.mjs COMMAND [ARGUMENT...]. The first session is given
// the prompt in CCP_TEST_PROMPT. Reads one line, when the pool has the first wait, and prints what it saw as JSON.
import { once } from 'node:events';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';

const [command, ...args] = process.argv.slice(2);
const transport = new StdioClientTransport({ command, args, env: process.env, stderr: 'inherit' });
const client = new Client({ name: 'ccp-test', version: '1.0.0' });
await client.connect(transport);

const call = (name, args, options) => client.callTool({ name, arguments: args }, undefined, options);
const seen = { server: client.getServerVersion(), instructions: client.getInstructions() };
seen.tools = (await client.listTools()).tools;
await client.ping();

seen.start = await call('start', { prompt: process.env.CCP_TEST_PROMPT ?? 'do it', name: 'parser' });
const { sessionId } = seen.start.structuredContent;

// A wait is given up while another call is answered.
const enough = new AbortController();
const waiting = call('wait', { sessionId }, { signal: enough.signal }).then(
    () => 'answered',
    () => 'given up',
);
seen.ls = await call('ls', {});
await once(process.stdin, 'data');
process.stdin.destroy();
enough.abort('enough');
seen.aborted = await waiting;

seen.blocked = await call('start', { prompt: 'and this', block: true });
seen.captured = await call('capture', { sessionId, detail: 'raw' });
seen.stopped = await call('stop', { sessionId });
seen.failed = await call('stop', { sessionId: 'beef' });
seen.wrong = await call('start', {});
seen.unknown = await call('fly', {}).then(
    () => 'answered',
    (error) => error.code,
);
await client.close();
console.log(JSON.stringify(seen));

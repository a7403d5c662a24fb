import { expect, test } from 'vitest';

import { act, linkAction, readDemo, serverAction } from './demo';

const STATE = {
  servers: [
    { name: 'Riley', state: 'running' },
    { name: 'Jaquez', state: 'stopped' },
    { name: 'Juzang', state: 'stopping' },
  ],
  links: [
    { between: ['Riley', 'Jaquez'], cut: true },
    { between: ['Riley', 'Juzang'], cut: false },
  ],
};

/** A demo that answers requests in this order. `null`: it does not answer. */
function demo(...answers: (Response | null)[]) {
  const asked: string[] = [];
  const request = async (path: string, init?: RequestInit): Promise<Response> => {
    asked.push(`${init?.method ?? 'GET'} ${path}`);
    const answer = answers.shift();
    if (!answer) throw new TypeError('failed to fetch');
    return answer;
  };
  const requestAt = (base: string, path: string, init?: RequestInit) => request(base + path, init);
  return { asked, request, requestAt };
}

function kill() {
  const action = serverAction('Jaquez', 'running');
  if (!action) throw new Error('a running server can be killed');
  return action;
}

test('what can be done depends on the state', () => {
  const state = readDemo(STATE);
  const server = (name: string) => serverAction(name, state?.servers.get(name))?.label;
  expect(server('Riley')).toBe('Kill Riley');
  expect(server('Jaquez')).toBe('Start Jaquez again');
  expect(server('Juzang')).toBeUndefined();
  expect(server('Nobody')).toBeUndefined();
  const link = (a: string, b: string) => linkAction(a, b, state?.links.get([a, b].sort().join(' ')))?.label;
  expect(link('Riley', 'Jaquez')).toBe('Heal the link Riley – Jaquez');
  expect(link('Juzang', 'Riley')).toBe('Cut the link Juzang – Riley');
  expect(link('Riley', 'Nobody')).toBeUndefined();
});

test('an action is one request, and its answer is the new state', async () => {
  const herd = demo(Response.json(STATE));
  const state = await act(herd, kill(), null);
  expect(herd.asked).toEqual(['POST /v1/demo/servers/Jaquez/kill']);
  expect(state.servers.get('Jaquez')).toBe('stopped');
});

test('a server that is killed is not asked to do that itself if another one answers', async () => {
  const herd = demo(Response.json(STATE));
  await act(herd, kill(), 'http://riley');
  expect(herd.asked).toEqual(['POST http://riley/v1/demo/servers/Jaquez/kill']);
});

test('a kill whose answer was lost with the server is judged by the state', async () => {
  for (const first of [null, Response.json({ detail: 'Jaquez is stopped' }, { status: 409 })]) {
    const state = await act(demo(first, Response.json(STATE)), kill(), null);
    expect(state.servers.get('Jaquez')).toBe('stopped');
  }
});

test('an action that was refused tells why', async () => {
  const action = serverAction('Riley', 'running');
  if (!action) throw new Error('a running server can be killed');
  const refused = () => Response.json({ detail: 'Riley is the last server' }, { status: 409 });
  await expect(act(demo(refused(), Response.json(STATE)), action, null)).rejects.toThrow('Riley is the last server');
  await expect(act(demo(refused(), null), action, null)).rejects.toThrow('Riley is the last server');
  const html = new Response('<html>', { status: 502 });
  await expect(act(demo(html, null), action, null)).rejects.toThrow('code 502');
});

test('an answer that is no state of a demo is refused', () => {
  for (const nonsense of [null, 7, {}, { servers: {} }, { servers: [] }]) expect(readDemo(nonsense)).toBeNull();
  expect(readDemo({ servers: [{ name: 7 }], links: [{ between: 'x' }] })?.servers.size).toBe(0);
});

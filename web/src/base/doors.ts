// Which doors of the herd's servers a page may use. herd.toml names doors as their servers see them. To a browser on
// another machine, a loopback address there means the browser's own machine, where another program may listen. The page
// must not send its token to such a program, and a page that came over TLS sends nothing without TLS.

/** Whether a page at the URL `page` may use the door at the URL `door`. */
export function mayUse(page: string, door: string): boolean {
  if (!URL.canParse(door)) return false;
  const [from, to] = [new URL(page), new URL(door)];
  if (to.protocol !== 'https:' && (to.protocol !== 'http:' || from.protocol === 'https:')) return false;
  return isLoopback(from.hostname) || !isLoopback(to.hostname);
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(host);
}

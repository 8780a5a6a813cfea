export async function theLocalNode(_signal: AbortSignal): Promise<{ name: string; url: string } | undefined> {
  return undefined;
}

/** Light and dark, as the reader's system is. */
export const PAGE_STYLE = `
:root { color-scheme: light dark; --a: #0b7285; --b: #e8590c; --c: #adb5bd; --line: #8884; --good: #2b8a3e; --bad: #c92a2a; }
@media (prefers-color-scheme: dark) { :root { --a: #3bc9db; --b: #ffa94d; --c: #868e96; --good: #69db7c; --bad: #ff8787; } }
body { font: 15px/1.5 system-ui, sans-serif; margin: 0; }
main { max-width: 800px; margin: 0 auto; padding: 24px 20px; }
h1 { font-size: 22px; margin: 0 0 8px; }
p { margin: 4px 0; }
.good { color: var(--good); font-weight: 600; }
.bad { color: var(--bad); font-weight: 600; }
dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(130px, 1fr)); gap: 8px; margin: 20px 0; }
dl div { border: 1px solid var(--line); border-radius: 6px; padding: 8px 10px; }
dt { font-size: 12px; opacity: .75; }
dd { margin: 0; font-size: 18px; font-variant-numeric: tabular-nums; }
figure { margin: 24px 0; }
figcaption { font-weight: 600; margin-bottom: 4px; }
svg { width: 100%; height: auto; }
svg text { font-size: 11px; fill: currentColor; opacity: .75; }
svg line { stroke: var(--line); }
polyline { fill: none; stroke-width: 1.8; }
polyline.a { stroke: var(--a); } polyline.b { stroke: var(--b); } polyline.c { stroke: var(--c); }
circle { opacity: 0; } circle:hover { opacity: 1; }
rect.a, circle.a { fill: var(--a); } circle.b { fill: var(--b); } circle.c { fill: var(--c); }
b.a { color: var(--a); } b.b { color: var(--b); } b.c { color: var(--c); }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: 3px 12px 3px 0; border-bottom: 1px solid var(--line); }
`;

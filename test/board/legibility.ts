/** Runs in a page: texts whose contrast with what is behind them is under 4.5 (WCAG 2.2, 1.4.3), as `ratio text`. */
export const faintTexts = `(() => {
  const channels = (colour) => {
    const [r, g, b, a = 1] = colour.match(/[\\d.]+/g).map(Number);
    if (!/^rgba?\\(/.test(colour)) throw new Error("cannot read the colour " + colour);
    return { rgb: [r, g, b], a };
  };
  const over = (top, below) => top.rgb.map((value, index) => value * top.a + below[index] * (1 - top.a));
  const groundOf = (element) => {
    if (!element) return [255, 255, 255];
    const own = channels(getComputedStyle(element).backgroundColor);
    return own.a === 1 ? own.rgb : over(own, groundOf(element.parentElement));
  };
  const luminance = (rgb) => {
    const [r, g, b] = rgb.map((value) => {
      const part = value / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ratio = (a, b) => {
    const [dark, light] = [luminance(a), luminance(b)].sort((x, y) => x - y);
    return (light + 0.05) / (dark + 0.05);
  };
  const faint = [];
  let seen = 0;
  const look = (element, pseudo, text) => {
    if (!element.checkVisibility() || element.closest(".spoken")) return;
    seen++;
    const ground = groundOf(element);
    const contrast = ratio(over(channels(getComputedStyle(element, pseudo).color), ground), ground);
    if (contrast < 4.5) faint.push(contrast.toFixed(2) + " " + text.trim().slice(0, 40));
  };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const { parentElement, data } = texts.currentNode;
    if (data.trim() !== "" && !/^(SCRIPT|STYLE|NOSCRIPT|OPTION)$/.test(parentElement.tagName)) look(parentElement, null, data);
  }
  for (const field of document.querySelectorAll("input, textarea"))
    if (field.placeholder) look(field, "::placeholder", field.placeholder);
  if (seen < 5) throw new Error("only " + seen + " texts were looked at");
  return faint;
})()`;

/** Runs in a page: controls that a screen reader would call nothing. */
export const namelessControls = `(() => {
  const controls = [...document.querySelectorAll("a[href], button, input, textarea, dialog, nav, aside, section, form")];
  if (controls.length < 3) throw new Error("only " + controls.length + " controls were looked at");
  const nameOf = (element) =>
    element.getAttribute("aria-label") ??
    document.getElementById(element.getAttribute("aria-labelledby") ?? "")?.textContent ??
    element.labels?.[0]?.textContent ??
    (/^(A|BUTTON)$/.test(element.tagName) ? element.textContent : "");
  const needsNone = (element) => element.tagName === "FORM" && element.closest("dialog, main.token");
  return controls.filter((element) => !needsNone(element) && nameOf(element).trim() === "").map((element) => element.outerHTML.slice(0, 80));
})()`;

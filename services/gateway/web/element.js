// DOM nodes: attributes are set as attributes, text is always text and never markup.

/** A new `tag` with `attributes` (false and null are left out, true stands alone) and `children`. */
export function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== false && value != null) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children);
  return node;
}

/** The one node below `root` that matches; a missing one is a mistake in the page. */
export function part(root, selector) {
  const node = root.querySelector(selector);
  if (!node) throw new Error(`the page has no ${selector}`);
  return node;
}

// What the browser remembers of the user's choices, where it allows that.

const PREFIX = "whisper.";

export function recall(name) {
  try {
    return localStorage.getItem(PREFIX + name);
  } catch {
    return null; // storage can be switched off; the page works without
  }
}

export function remember(name, value) {
  try {
    localStorage.setItem(PREFIX + name, value);
  } catch {
    // see above
  }
}

// The files still to be sent: one after the other, so that the first words of the first come soonest.

import { Upload } from "./upload.js";

/** Takes files, sends them in order; `onAdded` hears of each new upload. */
export class UploadQueue {
  #waiting = [];
  #current = null;

  constructor(onAdded) {
    this.onAdded = onAdded;
    addEventListener("beforeunload", (event) => {
      if (this.#current) event.preventDefault();
    });
  }

  add(files, options) {
    const uploads = Array.from(files, (file) => new Upload(file, options));
    for (const upload of uploads) this.onAdded(upload);
    this.#waiting.push(...uploads);
    this.#advance();
    return uploads;
  }

  retry(upload) {
    upload.reset();
    this.#waiting.push(upload);
    this.#advance();
  }

  async #advance() {
    if (this.#current) return;
    while ((this.#current = this.#waiting.shift() ?? null)) await this.#current.run();
  }
}

// How fast something grows, and how long the rest will take.

const WINDOW_MS = 5000; // long enough to be calm, short enough to follow a change of network

/** Fed with a growing count, gives its speed over the last seconds. */
export class Rate {
  #samples = [];

  add(count, now = performance.now()) {
    this.#samples.push([now, count]);
    while (this.#samples.length > 2 && now - this.#samples[0][0] > WINDOW_MS) this.#samples.shift();
  }

  /** Units per second, or null before there is enough to tell. */
  get perSecond() {
    const [first, last] = [this.#samples.at(0), this.#samples.at(-1)];
    const seconds = first && last ? (last[0] - first[0]) / 1000 : 0;
    return seconds >= 0.5 ? (last[1] - first[1]) / seconds : null;
  }

  /** Seconds until `remaining` more units are there, or null. */
  secondsFor(remaining) {
    const speed = this.perSecond;
    return speed ? remaining / speed : null;
  }
}

// The page: puts its parts together and decides what happens when.

import * as api from "./api.js";
import { Announcer } from "./announcer.js";
import { acceptFiles } from "./dropzone.js";
import { part } from "./element.js";
import { Frame } from "./frame.js";
import { Hotwords } from "./hotwords.js";
import { startLanguage } from "./i18n.js";
import { Options } from "./options.js";
import { Pane } from "./pane.js";
import { ask } from "./question.js";
import { UploadQueue } from "./queue.js";
import { Recordings } from "./recordings.js";

const NARROW = "(max-width: 59.99rem)";

class Page {
  constructor(root) {
    this.root = root;
    this.dialog = part(root, "dialog");
    this.frame = new Frame(root);
    this.options = new Options(part(root, ".options"));
    this.hotwords = new Hotwords(part(root, ".hotwords"));
    const [list, more, empty] = [".rows", ".more", ".rows-empty"].map((name) => part(root, name));
    this.recordings = new Recordings(
      { list, more, empty },
      { onErase: (recording) => this.erase(recording), onChange: (recording) => this.#changed(recording) },
    );
    this.queue = new UploadQueue((upload) => this.recordings.addUpload(upload));
    this.pane = new Pane(part(root, ".pane"), new Announcer(part(root, ".announcer")), {
      retry: (recording) => this.queue.retry(recording.upload),
      fill: (recording) => this.fill(recording),
      erase: (recording) => this.erase(recording),
      lost: (recording) => this.#forget(recording),
    });
  }

  start() {
    this.frame.start();
    acceptFiles(part(this.root, ".dropzone"), part(this.root, "#file"), (files) => this.upload(files));
    addEventListener("hashchange", () => this.#openAddressed());
    part(this.root, ".skip-link").addEventListener("click", (event) => {
      event.preventDefault(); // the part behind # names a recording
      this.pane.root.focus();
    });
    this.hotwords.start();
    this.frame.guard(() => this.recordings.start()).then(() => this.#openAddressed());
  }

  upload(files) {
    const fields = [...this.options.fields(), ...this.hotwords.fields()];
    const [first] = this.queue.add(files, fields);
    location.hash = first.key;
  }

  /** Cancel or delete, after asking; what goes on may also just be stopped, so that its text stays. */
  async erase(recording) {
    const answer = await ask(this.dialog, questionFor(recording));
    if (answer === "stop") await this.#stop(recording);
    if (answer !== "erase") return;
    recording.upload?.stop();
    await this.frame.guard(async () => {
      const id = recording.id ?? (await api.jobOfUpload(recording.upload.key))?.id;
      if (id) await api.erase(id).catch((problem) => problem.status === 404 || Promise.reject(problem));
      this.#forget(recording);
    });
  }

  /** An upload ends where it is, a job too; one that ended while its user was asked needs nothing. */
  async #stop(recording) {
    if (isSending(recording)) return recording.upload.stop();
    const unlessOver = (problem) => (problem.code === "job_ended" ? recording.job : Promise.reject(problem));
    return this.frame.guard(async () => recording.learn(await api.cancel(recording.id).catch(unlessOver)));
  }

  /** Have its gaps tried again; asking twice does no harm. */
  async fill(recording) {
    await this.frame.guard(async () => recording.learn(await api.fillGaps(recording.id)));
  }

  async #openAddressed() {
    const address = location.hash.slice(1);
    let recording = this.recordings.find(address) ?? null;
    if (address && !recording) {
      recording = await api.job(address).then((job) => this.recordings.ofJob(job)).catch(() => null);
    }
    if (address && !recording) {
      history.replaceState(null, "", "#");
      this.frame.complain({ code: "not_found" });
    }
    if (recording === this.pane.recording && recording) return;
    const chosen = document.activeElement?.classList.contains("row-link");
    this.recordings.select(recording);
    this.pane.open(recording);
    if (recording && chosen) this.pane.root.focus({ preventScroll: true });
    if (recording && matchMedia(NARROW).matches) this.pane.root.scrollIntoView();
  }

  #changed(recording) {
    this.pane.changed(recording);
    const shown = location.hash.slice(1);
    if (shown === recording.address || !recording.matches(shown)) return;
    history.replaceState(null, "", `#${recording.address}`); // the upload's key gives way to the job's id
  }

  #forget(recording) {
    this.recordings.remove(recording);
    if (recording === this.pane.recording) location.hash = "";
  }
}

const isSending = ({ uploading, upload }) => uploading && upload.state === "sending";

function questionFor(recording) {
  const values = { name: recording.name };
  const keep = ["keep", "question.keep", "plain"];
  const stoppable = isSending(recording) ? "stop" : recording.active && recording.id ? "end" : null;
  if (stoppable) {
    const choices = [["erase", "question.erase", "danger"], ["stop", "question.stop", "plain"], keep];
    return { title: `question.${stoppable}_title`, text: `question.${stoppable}_text`, values, choices };
  }
  const kind = recording.active ? "cancel" : "erase";
  const choices = [["erase", `question.${kind}`, "danger"], keep];
  return { title: `question.${kind}_title`, text: `question.${kind}_text`, values, choices };
}

startLanguage();
new Page(document.body).start();

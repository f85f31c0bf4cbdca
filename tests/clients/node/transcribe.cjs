// Uses OpenAI's SDK as its users do, and prints what it gave as one JSON object.
// usage: OPENAI_BASE_URL=... OPENAI_API_KEY=... node transcribe.cjs RECORDING

const fs = require("node:fs");
const OpenAI = require("openai");

const [recording] = process.argv.slice(2);
const client = new OpenAI();

async function transcribed(options) {
  const file = fs.createReadStream(recording);
  return client.audio.transcriptions.create({ file, model: "whisper-1", ...options });
}

async function streamed() {
  const events = [];
  for await (const event of await transcribed({ stream: true, response_format: "json" })) events.push(event);
  return events;
}

async function refused(work) {
  try {
    await work();
  } catch (error) {
    return { name: error.constructor.name, status: error.status, message: error.message, param: error.param };
  }
  return null;
}

async function main() {
  const stranger = new OpenAI({ apiKey: "wwu_nobody", maxRetries: 0 });
  const models = [];
  for await (const model of client.models.list()) models.push(model.id);
  return {
    json: await transcribed({}),
    text: await transcribed({ response_format: "text" }),
    srt: await transcribed({ response_format: "srt" }),
    vtt: await transcribed({ response_format: "vtt" }),
    verbose: await transcribed({
      response_format: "verbose_json",
      timestamp_granularities: ["segment", "word"],
      language: "en",
    }),
    diarized: await transcribed({ response_format: "diarized_json", model: "gpt-4o-transcribe-diarize", chunking_strategy: "auto" }),
    keywords: await transcribed({ model: "gpt-transcribe", keywords: ["Katherine", "Lynx"], languages: ["en"] }),
    events: await streamed(),
    models,
    bad_format: await refused(() => transcribed({ response_format: "doc" })),
    bad_keyword: await refused(() => transcribed({ keywords: ["a<b"] })),
    bad_key: await refused(() => stranger.models.list()),
  };
}

main().then((found) => console.log(JSON.stringify(found)));

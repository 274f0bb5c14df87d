// modesl reads an event socket: `node modesl_reader.js PORT EVENTS`. Prints the seconds from the login to the last event.
// It subscribes by itself, in JSON, and that is when the feeder begins.
const esl = require("modesl");

const [port, events] = process.argv.slice(2).map(Number);
let seen = 0;
let begun = 0n;
const connection = new esl.Connection("127.0.0.1", port, "any");
connection.on("esl::event::auth::success", () => { begun = process.hrtime.bigint(); });
connection.on("esl::event::**", (event) => {
  if (event && event.getHeader && event.getHeader("Event-Name") && ++seen >= events) {
    console.log(Number(process.hrtime.bigint() - begun) / 1e9);
    process.exit(0);
  }
});
setTimeout(() => { console.error(`${seen} of ${events}`); process.exit(1); }, 120000);

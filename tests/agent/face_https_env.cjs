/** Asks the https server at the port given and says what came of it; run in a process of its own, for its environment. */
const https = require("@holdfast/agent/https");

https.get({ host: "localhost", port: Number(process.argv[2]), agent: false }, (response) => {
  console.log("authorized:", response.socket.authorized);
  response.resume();
}).on("error", (error) => console.log(error.code));

/** A program of a user's, in CommonJS: it must compile with each TypeScript and each `@types/node` that is supported. */
import http = require("node:http");
import holdfast = require("@holdfast/agent");
import ours = require("@holdfast/agent/http");

const agent: http.Agent = new holdfast.Agent({ keepAlive: true });
http.get({ host: "127.0.0.1", agent });
const outgoing = ours.get("http://127.0.0.1/", (response) => response.resume());
outgoing.on("error", (error: Error) => console.log(error.message));
holdfast.fetch("http://127.0.0.1/").then((response) => console.log(response.status), console.error);

/**
 * The headers of a request before it is sent, those of its response as they came, and trailers. CommonJS; runs as
 * http_agent_tour.cjs does.
 */
const http = require("@holdfast/agent/http");

const show = (...values) => console.log(...values.map((value) => JSON.stringify(value)));

const server = http.createServer((request, response) => {
  response.sendDate = false;
  response.writeHead(200, [
    ...["X-Sent", String(request.headers["x-sent"]), "Set-Cookie", "a=1", "Set-Cookie", "b=2"],
    ...["Vary", "accept", "vary", "cookie", "Age", "1", "Age", "2", "Trailer", "X-Sum"],
  ]);
  response.write("body");
  response.addTrailers({ "X-Sum": "4" });
  response.end();
});

server.listen(0, "127.0.0.1", () => {
  const request = http.request({ host: "127.0.0.1", port: server.address().port, agent: false });
  request.setHeader("X-Sent", "first");
  request.setHeader("x-sent", "second");
  request.setHeaders(new Headers({ accept: "text/plain" }));
  request.appendHeader("Cookie", "c=3");
  request.appendHeader("Cookie", "d=4");
  request.removeHeader("Accept");
  show(request.getHeader("X-SENT"), request.getHeader("cookie"), request.hasHeader("accept"));
  show(request.getHeaderNames(), request.getRawHeaderNames());
  for (const [name, value] of [["no spaces", "x"], ["x-line", "a\nb"]]) {
    try {
      request.setHeader(name, value);
    } catch (error) {
      console.log(error.name, error.code, error.message);
    }
  }
  request.on("response", (response) => {
    show(
      response.headers["x-sent"],
      response.headers["set-cookie"],
      response.headers.vary,
      response.headers.age,
    );
    show(response.headersDistinct.age, response.rawHeaders.slice(0, 4), response.complete);
    response.resume();
    response.on("end", () => {
      show(response.trailers, response.rawTrailers, response.complete);
      server.close();
    });
  });
  request.end();
});

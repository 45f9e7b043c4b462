// Package console shows a running relay to its administrators: a web page and a
// JSON API with the same routes.
//
//	web := &console.Console{Gateway: relay, Address: "127.0.0.1:8025"}
//	relay.Tasks = append(relay.Tasks, web.Run)
//	relay.Parts = append(relay.Parts, web)
//
// At start, [Console.Run] prints a URL to the standard error. The URL has a
// random token that opens the console. A program with flags can use [Flags], and
// examples/relayctl is a command for the API.
//
// # Access
//
// A request from a loopback address is not trusted: a web server on the same
// machine forwards requests of others from there, and every local user can
// connect from there. There are three ways to get access:
//
//   - Console.Authorize, a function of the application, decides who may see
//     and who may change something.
//   - Without Authorize, a request must have a token. It is a random number,
//     or the content of Console.TokenFile. A browser gets it from the URL that
//     Run prints, or from the login form, and keeps it in a cookie. A program
//     sends it in the header field "Authorization: Bearer TOKEN". The Host
//     field of a request must be a name of the console (Console.Hosts), so
//     that another website cannot reach it through a DNS name of its own.
//   - A client of the Unix socket Console.Socket is authorized by its user ID,
//     which must be that of the relay or 0.
//
// A browser sends a cookie to all ports of a host (RFC 6265, 8.5). So do not use a
// web server of another user at the host name of the console, for example at
// another port of 127.0.0.1: it would get the token. On a machine with users who are
// not trusted, the socket is the better way: another user can also take the port
// of Address while the relay does not run, and a program would send it the token.
//
// There are two roles. A [Viewer] sees the state of the relay, but no content
// of messages, no SMTP dialogues and no account names. An [Operator] sees
// everything and can change it.
//
// # Pages and API
//
// Each page is also JSON: at the same path below /api/v1, or for a request that
// accepts application/json. The document /api/v1/openapi.json describes the
// routes. An error is application/problem+json (RFC 9457). Times are in the form
// of RFC 3339.
//
// A change is a POST request. Without confirm=yes it changes nothing: the answer
// describes what the change would do, and how many messages it concerns. With
// confirm=yes it needs a reason. Each change is written to the audit log: who,
// what, why, and the result.
//
// /metrics has the statistics for Prometheus (package metrics), for clients that
// have access. /healthz and /readyz ([gateway.Gateway.Readyz]) need no access.
//
// All links are relative, so the console works under any path and behind a
// proxy.
//
// Text from strangers (addresses, subjects, replies of other hosts) is shown
// inert: html/template escapes markup, and characters that are not visible or
// change the direction of text are shown as escapes, for example \u202E.
package console

package main

import (
	"context"
	"flag"
	"net/url"
)

var pauseCommand = command{
	name: "pause", args: "receiving|sending",
	summary: "refuse new mail, or begin no delivery, until the pause ends",
	details: `
"pause receiving" refuses new mail with 451 4.3.2, so that its senders try again; the mail
in the queue is delivered. "pause sending" keeps the mail in the queue and accepts new
mail. A pause lasts until "relayctl continue", or until the relay stops. "relayctl top" shows
it. With several nodes, it is for the node that is asked. The setting -pause of a
gateway remains after a restart.`,
	define: pausing("/pause"),
}

var continueCommand = command{
	name: "continue", args: "receiving|sending",
	summary: "end a pause",
	define:  pausing("/continue"),
}

// pausing defines a command for the action at a path.
func pausing(path string) func(*flag.FlagSet) action {
	return func(fs *flag.FlagSet) action {
		by := confirms(fs)
		return func(ctx context.Context, s *session, args []string) error {
			if len(args) != 1 || args[0] != "receiving" && args[0] != "sending" {
				return wrongUsage("receiving or sending is needed")
			}
			return s.change(ctx, change{path: path, form: url.Values{"what": {args[0]}}, counts: "part", counted: "part"}, by)
		}
	}
}

package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"strings"
)

// A command is one of relayctl's subcommands.
type command struct {
	name, args string
	summary    string
	details    string // further lines for "help NAME"
	local      bool   // it needs no relay
	// define adds the flags of the command and returns the function that executes
	// it. The flags have their values when that is called.
	define func(*flag.FlagSet) action
}

// An action executes a command. args are the arguments that are not flags.
type action func(ctx context.Context, s *session, args []string) error

// A session is one execution of a command.
type session struct {
	*terminal
	*client
	json bool // print the JSON of the API
}

// commands are in the order of the help text.
func commands() []command {
	return []command{
		topCommand, queuesCommand, shapeCommand, suspensionsCommand,
		messagesCommand, showCommand,
		pauseCommand, continueCommand,
		suspendCommand, resumeCommand, retryCommand, redirectCommand, removeCommand, resubmitCommand, expireCommand,
		exportCommand, replayCommand,
		trackCommand, sessionsCommand, watchCommand, blocksCommand,
		nodesCommand, drainCommand, undrainCommand,
		explainCommand, probeCommand, checkCommand, compareCommand, headerCommand, traceCommand,
	}
}

// execute parses the arguments and executes the command.
func execute(ctx context.Context, args []string, t *terminal, getenv func(string) string) error {
	var to connection
	fs := flag.NewFlagSet("relayctl", flag.ContinueOnError)
	to.define(fs, getenv)
	fs.Usage = func() {}
	fs.SetOutput(io.Discard)
	switch err := fs.Parse(args); {
	case err == flag.ErrHelp:
		return help(t.out, nil)
	case err != nil:
		return wrongUsage("%v", err)
	}
	args = fs.Args()
	if len(args) == 0 {
		help(t.err, nil)
		return wrongUsage("a command is missing")
	}
	if args[0] == "help" {
		return help(t.out, args[1:])
	}
	c, err := find(args[0])
	if err != nil {
		return err
	}
	return c.execute(ctx, args[1:], t, &to)
}

func find(name string) (*command, error) {
	for _, c := range commands() {
		if c.name == name {
			return &c, nil
		}
	}
	return nil, wrongUsage("%q is not a command; \"relayctl help\" lists them", name)
}

func (c *command) execute(ctx context.Context, args []string, t *terminal, to *connection) error {
	fs := flag.NewFlagSet(c.name, flag.ContinueOnError)
	do := c.define(fs)
	to.again(fs)
	fs.Usage = func() {}
	fs.SetOutput(io.Discard)
	rest, err := parse(fs, args)
	switch {
	case err == flag.ErrHelp:
		return help(t.out, []string{c.name})
	case err != nil:
		return wrongUsage("%s: %v", c.name, err)
	}
	if c.local {
		return do(ctx, &session{t, nil, to.json}, rest)
	}
	client, err := to.client()
	if err != nil {
		return err
	}
	defer client.close()
	return do(ctx, &session{t, client, to.json}, rest)
}

// parse parses flags that may come before, between and after other arguments,
// and returns those. All arguments after "--" are no flags.
func parse(fs *flag.FlagSet, args []string) (rest []string, err error) {
	for {
		if err := fs.Parse(args); err != nil {
			return nil, err
		}
		left := fs.Args()
		if len(left) == 0 {
			return rest, nil
		}
		if n := len(args) - len(left); n > 0 && args[n-1] == "--" {
			return append(rest, left...), nil
		}
		rest, args = append(rest, left[0]), left[1:]
	}
}

// help explains a command, or lists all.
func help(w io.Writer, args []string) error {
	if len(args) > 0 {
		c, err := find(args[0])
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "usage: relayctl %s [flags] %s\n\n%s\n", c.name, c.args, c.summary)
		if c.details != "" {
			fmt.Fprintf(w, "\n%s\n", strings.TrimSpace(c.details))
		}
		fs := flag.NewFlagSet(c.name, flag.ContinueOnError)
		fs.SetOutput(w)
		c.define(fs)
		has := false
		fs.VisitAll(func(*flag.Flag) { has = true })
		if has {
			fmt.Fprintln(w, "\nFlags:")
			fs.PrintDefaults()
		}
		if !c.local {
			fmt.Fprintln(w, "\nThe flags of the connection: see \"relayctl help\".")
		}
		return flag.ErrHelp
	}
	fmt.Fprintln(w, "usage: relayctl [flags] COMMAND [flags] [arguments]\n\nCommands:")
	for _, c := range commands() {
		fmt.Fprintf(w, "  %-11s %s\n", c.name, c.summary)
	}
	fmt.Fprintln(w, "  help        explain a command\n\nFlags of the connection and the output, which all commands have:")
	fs := flag.NewFlagSet("relayctl", flag.ContinueOnError)
	fs.SetOutput(w)
	new(connection).define(fs, func(string) string { return "" })
	fs.PrintDefaults()
	fmt.Fprint(w, `
The token is in the file -token-file, in RELAYCTL_TOKEN, or in RELAYCTL_URL.

Exit status: 0 done, 1 error or refused, 2 wrong arguments, 3 nothing found,
4 not confirmed, so nothing has changed.
`)
	return flag.ErrHelp
}

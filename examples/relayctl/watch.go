package main

import (
	"context"
	"errors"
	"flag"
	"strings"
	"time"
)

var watchCommand = command{
	name: "watch", args: "",
	summary: "show the dialogue of sessions as it happens",
	details: `
The sessions match all flags. The dialogue has no credentials and no content. >
marks a line that the relay has sent, and < one that it has received. With -session,
the lines so far come first, and the command ends with the session.`,
	define: func(fs *flag.FlagSet) action {
		p := newParameters(fs,
			"side: only sessions of this `side`: in or out",
			"connector: the sessions of this receive or send `connector`",
			"network: the sessions with this IP `address` or network, for example 192.0.2.0/24")
		fs.Func("session", "the session with this `ID`", func(id string) error {
			if id == "" {
				return errEmpty
			}
			p.Set("id", id)
			return nil
		})
		long := fs.Duration("for", 0, "end after this time; 0 means only at an interrupt")
		return func(ctx context.Context, s *session, args []string) error {
			switch {
			case len(args) > 0:
				return wrongUsage("watch takes only flags")
			case *long < 0:
				return wrongUsage("-for must not be negative")
			case *long > 0:
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, *long)
				defer cancel()
			}
			return watch(ctx, s, p)
		}
	},
}

// watch shows dialogues until ctx ends. It connects again when the console ends the
// stream, which it does after some minutes.
func watch(ctx context.Context, s *session, p parameters) error {
	again := time.NewTicker(time.Second)
	defer again.Stop()
	for {
		err := s.stream(ctx, "/sessions/watch", p.Values, func(name string, data document) error {
			if name != "line" {
				return nil
			}
			return s.showLine(data)
		})
		var lost *streamError
		switch {
		case ctx.Err() != nil:
			return nil // the end of the time, or interrupted
		case err != nil && !errors.As(err, &lost):
			return notFound(err)
		case p.Get("id") != "":
			return err
		case lost != nil:
			s.note("%v; connecting again", err)
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// A dialogueLine is an event of /sessions/watch.
type dialogueLine struct {
	Time                             time.Time
	Session, Connector, Remote, Kind string
	Data, Context                    string
}

func (s *session) showLine(doc document) error {
	if s.json {
		return s.printJSON(doc)
	}
	var l dialogueLine
	if err := doc.decode(&l); err != nil {
		return err
	}
	text := l.Data
	if l.Context != "" {
		text = strings.TrimSpace(text + " (" + l.Context + ")")
	}
	s.print("%s  %s  %s  %s  %s", l.Time.UTC().Format("15:04:05.000"), l.Session, l.Remote, l.Kind, text)
	return nil
}

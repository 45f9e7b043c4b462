package main

import (
	"context"
	"flag"
	"net/url"
	"strconv"
	"time"
)

var sessionsCommand = command{
	name: "sessions", args: "[end ID]",
	summary: "list the live SMTP sessions, or end one",
	details: `
The column SIDE is "in" for the sessions with clients, and "out" for those with the
hosts that get mail. "sessions end ID" ends one session: a message that the relay has
received completely still gets its reply. Other messages are sent again later.`,
	define: func(fs *flag.FlagSet) action {
		by := confirms(fs)
		p := newParameters(fs,
			"side: only sessions of this `side`: in or out",
			"connector: only sessions of this receive or send `connector`",
			"address: only sessions with this IP `address` or network, for example 192.0.2.0/24",
			"state: only sessions in this `state`, for example idle or data")
		limit := fs.Int("limit", 100, "the maximum `number` of sessions; 0 means all")
		return func(ctx context.Context, s *session, args []string) error {
			switch {
			case len(args) == 0:
				return listSessions(ctx, s, p, *limit)
			case len(args) == 2 && args[0] == "end" && args[1] != "":
				return endSession(ctx, s, args[1], p, by)
			}
			return wrongUsage("sessions takes no arguments, or end ID")
		}
	},
}

// A liveSession is one session of /sessions.
type liveSession struct {
	Side, ID, Connector, Name, Remote string
	Started                           time.Time
	State, Waiting, TLS, Identity     string
	Message, Sender                   string
	Messages                          int
	BytesIn, BytesOut                 int64
}

func listSessions(ctx context.Context, s *session, p parameters, limit int) error {
	t := newTable("ID", "SIDE", "CONNECTOR", "REMOTE", "NAME", "AGE", "STATE", "WAITS FOR", "TLS", "ACCOUNT", "SENDER", ">MESSAGES", ">IN", ">OUT")
	shown, more := 0, false
	err := s.liveSessions(ctx, p, limit, func(page []liveSession, next string) {
		shown, more = shown+len(page), next != ""
		for _, one := range page {
			sender := ""
			if one.Message != "" {
				sender = angle(one.Sender)
			}
			t.add(one.ID, one.Side, one.Connector, one.Remote, one.Name, age(one.Started), one.State, one.Waiting, one.TLS, one.Identity, sender,
				strconv.Itoa(one.Messages), size(one.BytesIn), size(one.BytesOut))
		}
	})
	switch {
	case err != nil:
		return err
	case shown == 0:
		return &nothingError{"there is no such session"}
	case s.json:
		return nil
	}
	if err := t.write(s.out); err != nil {
		return err
	}
	if more {
		s.note("there are more sessions; -limit 0 shows all")
	}
	return nil
}

// liveSessions reads the pages of the list.
func (s *session) liveSessions(ctx context.Context, p parameters, limit int, show func(page []liveSession, next string)) error {
	return s.pages(ctx, "/sessions", p, limit, func(doc document) (int, string, error) {
		var page struct {
			Sessions []liveSession
			Next     string
		}
		if err := doc.decode(&page); err != nil {
			return 0, "", err
		}
		show(page.Sessions, page.Next)
		return len(page.Sessions), page.Next, nil
	})
}

// endSession ends the session with an ID. It finds the side of the session.
func endSession(ctx context.Context, s *session, id string, p parameters, by *confirmation) error {
	side := ""
	quiet := *s
	quiet.json = false
	if err := quiet.liveSessions(ctx, p, 0, func(page []liveSession, _ string) {
		for _, one := range page {
			if one.ID == id {
				side = one.Side
			}
		}
	}); err != nil {
		return err
	}
	if side == "" {
		return &nothingError{"there is no session " + id}
	}
	form := url.Values{"side": {side}, "id": {id}}
	return s.change(ctx, change{path: "/sessions/end", form: form, counts: "session", counted: "session"}, by)
}

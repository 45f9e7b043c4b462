package console

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/live"
)

const (
	// maxDialogues is the maximum number of sessions of which the page Dialogue
	// shows the lines: the newest ones.
	maxDialogues = 50
	// maxDialogueLines is the maximum number of lines of the page: the last ones.
	maxDialogueLines = 1000
	// quietTime is the time after which a stream without lines sends a comment, so
	// that a proxy does not end it.
	quietTime = 15 * time.Second
)

// dialogueParams select the sessions whose dialogue is shown.
type dialogueParams struct {
	Side      string `param:"side" doc:"in: sessions with clients. out: sessions with next hops. Default: both."`
	ID        string `param:"id" doc:"The ID of one session."`
	Connector string `param:"connector" doc:"The name of a receive connector or a send connector."`
	Network   string `param:"network" doc:"The IP address of the other end, or a network, for example 192.0.2.0/24."`
}

// filter returns the filter and the sources of its side.
func (p *dialogueParams) filter(x *call) (live.Filter, []sessionSource, error) {
	network, err := networkOf("network", p.Network)
	if err != nil {
		return live.Filter{}, nil, err
	}
	if p.ID != "" && (p.Connector != "" || p.Network != "") {
		return live.Filter{}, nil, wrongParameter("id", "with it, connector and network are not possible")
	}
	sources, err := x.console.sources(p.Side)
	return live.Filter{Session: p.ID, Connector: p.Connector, Client: network}, sources, err
}

// dialogueView has the last lines of the dialogue of sessions.
type dialogueView struct {
	Session *sessionView   `json:"session,omitempty" doc:"The session with the ID."`
	Lines   []dialogueLine `json:"lines" doc:"The lines that the live sessions have kept, the oldest first: at most 1000 lines of the 50 newest sessions."`

	Params dialogueParams `json:"-"`
	Watch  string         `json:"-"` // the URL of the stream
}

// dialogueLine is one line of the dialogue of a session. It has no credentials and
// no content.
type dialogueLine struct {
	Time      time.Time `json:"time"`
	Side      string    `json:"side" doc:"in or out."`
	Session   string    `json:"session" doc:"The ID of the session. Empty for a line that belongs to none: one about lost lines, or a connection that failed."`
	Connector string    `json:"connector,omitempty"`
	Remote    string    `json:"remote,omitempty" doc:"The address and port of the client or the host."`
	Kind      string    `json:"kind" doc:"+ connected, - disconnected, > sent, < received, * information."`
	Data      string    `json:"data,omitempty" doc:"The line that was sent or received."`
	Context   string    `json:"context,omitempty" doc:"What the event is."`
	Text      string    `json:"text" doc:"Data and context for a page: characters that are not printable are escapes."`
}

func lineOf(side string, e *live.Event) dialogueLine {
	text := e.Data
	if text == "" || e.Context == "" {
		text += e.Context
	} else {
		text += " (" + e.Context + ")"
	}
	return dialogueLine{
		Time: e.Time, Side: side, Session: e.Session, Connector: e.Connector, Remote: e.Remote,
		Kind: string(rune(e.Kind)), Data: e.Data, Context: e.Context, Text: inert(text),
	}
}

// showDialogue shows what the sessions have kept. The script of the page then
// shows the lines as they come.
func showDialogue(x *call, p dialogueParams) (*dialogueView, error) {
	f, sources, err := p.filter(x)
	if err != nil {
		return nil, err
	}
	v := &dialogueView{Lines: []dialogueLine{}, Params: p, Watch: x.link("/sessions/watch", "side", p.Side, "id", p.ID, "connector", p.Connector, "network", p.Network)}
	var sessions []sessionView
	if f.Session != "" {
		if _, v.Session, err = x.session(p.Side, p.ID); err != nil {
			return nil, err
		}
		sessions = []sessionView{*v.Session}
	} else if sessions, err = x.liveSessions(&sessionsFilter{Side: p.Side, Connector: p.Connector, Address: p.Network}); err != nil {
		return nil, err
	}
	for _, s := range sessions[max(0, len(sessions)-maxDialogues):] {
		for _, source := range sources {
			if source.side != s.Side {
				continue
			}
			lines, _ := source.Dialogue(s.ID) // the error is that it has ended
			for i := range lines {
				v.Lines = append(v.Lines, lineOf(s.Side, &lines[i]))
			}
		}
	}
	slices.SortStableFunc(v.Lines, func(a, b dialogueLine) int { return a.Time.Compare(b.Time) })
	v.Lines = v.Lines[max(0, len(v.Lines)-maxDialogueLines):]
	return v, nil
}

// endOfStream is the last event of a stream.
type endOfStream struct {
	Reason string `json:"reason"`
}

// watchSessions sends the lines of the dialogue of sessions as they come. With an
// ID, the lines that the session has kept come first.
func watchSessions(x *call, p dialogueParams) error {
	f, sources, err := p.filter(x)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(x.ctx(), streamTime)
	defer cancel()
	lines, err := watchAll(ctx, sources, f)
	if err != nil {
		return err
	}
	s := newStream(x)
	defer s.close()
	if err := s.write(": the dialogue follows\n\n"); err != nil {
		return nil
	}
	quiet := time.NewTicker(quietTime)
	defer quiet.Stop()
	for {
		select {
		case line, more := <-lines:
			if !more {
				return s.end(x, ctx)
			}
			if s.send("line", line) != nil {
				return nil
			}
		case <-quiet.C:
			if s.write(":\n\n") != nil {
				return nil
			}
		}
	}
}

// end says why a stream of lines ends.
func (s *stream) end(x *call, ctx context.Context) error {
	switch {
	case x.ctx().Err() != nil: // the client is gone, or the relay ends
	case ctx.Err() != nil:
		s.send("end", endOfStream{"This view has ended after " + formatAge(streamTime) + ". Reload the page to go on."})
	default:
		s.send("end", endOfStream{"The session has ended."})
	}
	return nil
}

// watchAll returns the lines of all sources. The channel is closed when ctx ends,
// or when the session of the filter has ended.
func watchAll(ctx context.Context, sources []sessionSource, f live.Filter) (<-chan dialogueLine, error) {
	ctx, cancel := context.WithCancel(ctx)
	to := make(chan dialogueLine)
	var running sync.WaitGroup
	var failed error
	watched := 0
	for _, source := range sources {
		from, err := source.Watch(ctx, f)
		if errors.Is(err, live.ErrNoSession) {
			continue
		}
		if err != nil {
			failed = &problem{Status: http.StatusTooManyRequests, Detail: "Too many watchers. Try again later.", retry: 5 * time.Second}
			break
		}
		watched++
		running.Go(func() {
			for e := range from {
				select {
				case to <- lineOf(source.side, &e):
				case <-ctx.Done():
				}
			}
		})
	}
	if failed == nil && watched == 0 {
		failed = errNoSession
	}
	if failed != nil {
		cancel()
		running.Wait()
		return nil, failed
	}
	go func() {
		defer close(to)
		defer cancel()
		running.Wait()
	}()
	return to, nil
}

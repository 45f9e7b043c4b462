package queue_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/memory"
)

func contentText(c queue.Content) string {
	var b strings.Builder
	c.WriteTo(&b)
	return b.String()
}

// Whatever the source of a message, its header ends at the same place for all
// programs: what a hook reads is what is stored.
func TestSubmitRepairsHeader(t *testing.T) {
	ways := map[string]func(text string) (*queue.Message, error){
		"memory": func(s string) (*queue.Message, error) {
			return &queue.Message{From: "a@example.com", Recipients: queue.Rcpt("b@example.net"), Content: queue.String(s)}, nil
		},
		"another Content": func(s string) (*queue.Message, error) {
			return &queue.Message{From: "a@example.com", Recipients: queue.Rcpt("b@example.net"), Content: strings.NewReader(s)}, nil
		},
		"replay": func(s string) (*queue.Message, error) {
			return queue.Import(queue.String("X-Sender: <a@example.com>\r\nX-Receiver: <b@example.net>\r\nX-EndOfInjectedXHeaders: 1\r\n" + s))
		},
	}
	for message, want := range map[string]string{
		"Subject: s\r\n\r\nbody\r\n":                  "Subject: s\r\n\r\nbody\r\n",
		"To: x\r\nno field at all\r\nFrom: ceo\r\n":   "To: x\r\n\r\nno field at all\r\nFrom: ceo\r\n",
		"To: x\r\nFrom\r\n : ceo\r\n\r\nb\r\n":        "To: x\r\n\r\nFrom\r\n : ceo\r\n\r\nb\r\n",
		"From x Sat\r\n>From y\r\nTo: x\r\n\r\nb\r\n": "X-Mailbox-Line: From x Sat\r\nX-Mailbox-Line: >From y\r\nTo: x\r\n\r\nb\r\n",
		"no header\r\n": "\r\nno header\r\n",
		"":              "",
	} {
		headless := message == "" || message == "no header\r\n"
		for way, submit := range ways {
			var seen string
			store := new(memory.Store)
			q := &queue.Queue{Store: store, Deliverer: printer{}, Hostname: "relay.example.com", Hooks: []queue.Hook{{Name: "look", Submitted: func(_ context.Context, m *queue.Message) error {
				seen = contentText(m.Content)
				return nil
			}}}}
			m, err := submit(message)
			if err != nil {
				t.Fatal(err)
			}
			if headless { // only mail from a server may have no header
				m.Origin.Protocol = "ESMTP"
			}
			if err := q.Submit(context.Background(), m); err != nil {
				t.Fatal(err)
			}
			stored, err := store.Get(context.Background(), m.ID)
			if err != nil {
				t.Fatal(err)
			}
			if got := contentText(stored.Content); got != want || seen != want {
				t.Errorf("%q, %s: stored %q, seen by the hook %q, want %q", message, way, got, seen, want)
			}
		}
	}
}

// The header is also repaired after a hook has changed it.
func TestHeaderIsRepairedAfterHook(t *testing.T) {
	store := new(memory.Store)
	q := &queue.Queue{Store: store, Deliverer: printer{}, Hooks: []queue.Hook{{Name: "break", Submitted: func(_ context.Context, m *queue.Message) error {
		m.Content = queue.String("To: x\r\nno field\r\nFrom: ceo\r\n")
		return nil
	}}}}
	m := &queue.Message{From: "a@example.com", Recipients: queue.Rcpt("b@example.net"), Content: queue.String("To: x\r\n\r\n")}
	if err := q.Submit(context.Background(), m); err != nil {
		t.Fatal(err)
	}
	stored, err := store.Get(context.Background(), m.ID)
	if err != nil {
		t.Fatal(err)
	}
	if got := contentText(stored.Content); got != "To: x\r\n\r\nno field\r\nFrom: ceo\r\n" {
		t.Errorf("%q", got)
	}
}

// A brokenContent cannot be read: it returns an error or panics.
type brokenContent struct{ panics bool }

func (c brokenContent) ReadAt([]byte, int64) (int, error) {
	if c.panics {
		panic("no disk")
	}
	return 0, errors.New("no disk")
}
func (brokenContent) WriteTo(io.Writer) (int64, error) { return 0, errors.New("no disk") }
func (brokenContent) Size() int64                      { return 100 }

func TestSubmitUnreadableContent(t *testing.T) {
	for _, panics := range []bool{false, true} {
		q := &queue.Queue{Store: new(memory.Store), Deliverer: printer{}}
		err := q.Submit(context.Background(), &queue.Message{Recipients: queue.Rcpt("b@example.net"), Content: brokenContent{panics}})
		var se *smtp.SMTPError
		if !errors.As(err, &se) || se.Code != 451 || !strings.Contains(err.Error(), "no disk") {
			t.Errorf("panics %v: %v", panics, err)
		}
	}
}

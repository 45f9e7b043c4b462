package queue_test

import (
	"context"
	"errors"
	"testing"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/memory"
)

// Run returns an error at once if settings are missing, and not with the first
// message.
func TestMissingSettings(t *testing.T) {
	none := func(q *queue.Queue) {}
	for want, change := range map[string]func(*queue.Queue){
		"queue: Queue.Store is not set":     func(q *queue.Queue) { q.Store = nil },
		"queue: Queue.Deliverer is not set": func(q *queue.Queue) { q.Deliverer = nil },
		`queue: Reports.CopyTo[1]: "Bob <bob@example.com>" has ' ' outside quotes`: func(q *queue.Queue) {
			q.Reports.CopyTo = []string{"ann@example.com", "Bob <bob@example.com>"}
		},
	} {
		w := newWorld(t, none)
		change(w.q)
		if err := w.q.Run(context.Background()); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	if err := new(queue.Queue).Submit(context.Background(), message("a@example.com", "b@example.com")); err == nil {
		t.Error("a message was submitted to nowhere")
	}
}

// Submit refuses addresses that can never be sent, so that the caller learns of
// it.
func TestSubmitRefusesInvalidAddress(t *testing.T) {
	q := &queue.Queue{Store: new(memory.Store), Deliverer: printer{}}
	for _, c := range []struct {
		from, to string
		want     string
	}{
		{"alice@example.com", "bob@example.net", ""},
		{"", "bob@example.net", ""},
		{"alice@example.com", `"Bob Jones"@example.net`, ""},
		{"alice@example.com", "jörg@bücher.example", ""},
		{"alice@example.com", "postmaster", ""},
		{"alice@example.com", "", `Recipient "" is empty`},
		{"alice@example.com", "Bob <bob@example.net>", `Recipient "Bob <bob@example.net>" has ' ' outside quotes`},
		{"alice@example.com", "<bob@example.net>", `Recipient "<bob@example.net>" has '<' outside quotes`},
		{"alice@example.com", "bob@example.net\r\nDATA", `Recipient "bob@example.net\r\nDATA" has a control character`},
		{"Alice <alice@example.com>", "bob@example.net", `Sender "Alice <alice@example.com>" has ' ' outside quotes`},
	} {
		err := q.Submit(context.Background(), message(c.from, c.to))
		var refusal *smtp.SMTPError
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%q to %q: %v", c.from, c.to, err)
		case c.want != "" && (!errors.As(err, &refusal) || refusal.Code != 553 || refusal.Message != c.want):
			t.Errorf("%q to %q: got %v, want 553 %s", c.from, c.to, err, c.want)
		}
	}
	if err := q.Submit(context.Background(), &queue.Message{From: "a@example.com", Recipients: []*queue.Recipient{nil}}); err == nil {
		t.Error("a recipient that is nil was taken")
	}
}

package queue_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/memory"
)

// The tests in this file are a list of mistakes in the use of a Queue, with the
// error for each.

// Each setting that can never work is an error that names the field: of
// Validate, of Run, and of Submit.
func TestWrongSettings(t *testing.T) {
	var (
		noStore  *memory.Store
		noRetry  *queue.Retry
		noSender *world
	)
	for _, c := range []struct {
		change func(*queue.Queue)
		want   string // "" if the setting is right
	}{
		{func(q *queue.Queue) {}, ""},
		{func(q *queue.Queue) { q.Store = nil }, "queue: Queue.Store is not set"},
		{func(q *queue.Queue) { q.Store = noStore }, "queue: Queue.Store is a nil *memory.Store"},
		{func(q *queue.Queue) { q.Deliverer = nil }, "queue: Queue.Deliverer is not set"},
		{func(q *queue.Queue) { q.Deliverer = noSender }, "queue: Queue.Deliverer is a nil *queue_test.world"},
		{func(q *queue.Queue) { q.Retry = noRetry }, "queue: Queue.Retry is a nil *queue.Retry"},
		{func(q *queue.Queue) { q.Hostname = "my relay" }, `queue: Queue.Hostname "my relay" is not a host name`},

		{func(q *queue.Queue) { q.Limits.Active = -1 }, "queue: Limits.Active is -1: must not be negative"},
		{func(q *queue.Queue) { q.Limits.Memory = -1 }, "queue: Limits.Memory is -1: must not be negative"},
		{func(q *queue.Queue) { q.Limits.Deliveries = -1 }, "queue: Limits.Deliveries is -1: must not be negative"},
		{func(q *queue.Queue) { q.Limits.Rate = -1 }, "queue: Limits.Rate is -1: must not be negative"},
		{func(q *queue.Queue) { q.Limits.Rate = math.NaN() }, "queue: Limits.Rate is not a number"},
		{func(q *queue.Queue) { q.Limits.Lease = -time.Minute }, "queue: Limits.Lease is -1m0s: must not be negative"},
		{func(q *queue.Queue) { q.Limits.Lease = 600 }, "queue: Limits.Lease is 600 nanoseconds: is the unit missing, for example 600*time.Second?"},
		{func(q *queue.Queue) { q.Limits.Interrupted = -1 }, "queue: Limits.Interrupted is -1: must not be negative"},
		{func(q *queue.Queue) { q.Limits.Received = -1 }, "queue: Limits.Received is -1: must not be negative"},
		{func(q *queue.Queue) { q.Limits.Hop.Concurrency = -1 }, "queue: Limits.Hop.Concurrency is -1: must not be negative"},
		{func(q *queue.Queue) { q.Limits.Hop.Start = -1 }, "queue: Limits.Hop.Start is -1: must not be negative"},
		{func(q *queue.Queue) { q.Limits.Hop.Recipients = -1 }, "queue: Limits.Hop.Recipients is -1: must not be negative"},
		{func(q *queue.Queue) { q.Limits.Hop.Rate = -1 }, "queue: Limits.Hop.Rate is -1: must not be negative"},
		{func(q *queue.Queue) { q.Limits.Hop.Active = -1 }, "queue: Limits.Hop.Active is -1: must not be negative"},
		{func(q *queue.Queue) { q.Limits.Hop.Concurrency, q.Limits.Hop.Start = 2, 5 }, "queue: Limits.Hop.Start is 5, but Hop.Concurrency is 2"},
		{func(q *queue.Queue) { q.Limits.BadMail = 30 }, "queue: Limits.BadMail is 30 nanoseconds: is the unit missing, for example 30*time.Second?"},
		// Negative values with a meaning of their own, and a small Concurrency
		// alone, are right.
		{func(q *queue.Queue) { q.Limits.BadMail, q.Limits.BadMailBytes, q.Limits.BadMailMessages = -1, -1, -1 }, ""},
		{func(q *queue.Queue) { q.Limits.Hop.Concurrency = 1 }, ""},

		{retries(queue.Retry{Intervals: []time.Duration{time.Minute, 0}}), "queue: Retry.Intervals[1] is 0s: an interval must be positive"},
		{retries(queue.Retry{Intervals: []time.Duration{-time.Minute}}), "queue: Retry.Intervals[0] is -1m0s: an interval must be positive"},
		{retries(queue.Retry{Intervals: []time.Duration{15}}), "queue: Retry.Intervals[0] is 15 nanoseconds: is the unit missing, for example 15*time.Second?"},
		{retries(queue.Retry{ByClass: map[queue.Class][]time.Duration{queue.ClassPolicy: {0}}}), "queue: Retry.ByClass[policy][0] is 0s: an interval must be positive"},
		{retries(&queue.Retry{Jitter: 10}), "queue: Retry.Jitter is 10: it is a fraction of the interval, at most 1"},
		{retries(queue.Retry{Expiry: 48}), "queue: Retry.Expiry is 48 nanoseconds: is the unit missing, for example 48*time.Second?"},
		{retries(queue.Retry{DelayNotice: 4}), "queue: Retry.DelayNotice is 4 nanoseconds: is the unit missing, for example 4*time.Second?"},
		{retries(queue.Retry{High: &queue.Lifetime{Expiry: 4}}), "queue: Retry.High.Expiry is 4 nanoseconds: is the unit missing, for example 4*time.Second?"},
		{retries(queue.Retry{Jitter: -1, DelayNotice: -1, Expiry: -1}), ""}, // none, none, never

		{func(q *queue.Queue) { q.Reports.From = "Postmaster <postmaster@example.com>" }, `queue: Reports.From: "Postmaster <postmaster@example.com>" has ' ' outside quotes`},
		{func(q *queue.Queue) { q.Reports.From = "postmaster" }, `queue: Reports.From: "postmaster" has no domain`},
		{func(q *queue.Queue) { q.Reports.MaxOriginal = -1 }, "queue: Reports.MaxOriginal is -1: must not be negative"},
		{func(q *queue.Queue) { q.Reports.CopyTo = []string{"ann@example.com", "bob"} }, `queue: Reports.CopyTo[1]: "bob" has no domain`},

		// All of them are named.
		{func(q *queue.Queue) { q.Store, q.Deliverer, q.Limits.Active = nil, nil, -5 },
			"queue: Queue.Store is not set\nqueue: Queue.Deliverer is not set\nqueue: Limits.Active is -5: must not be negative"},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		cancel() // so that the Run of a right Queue ends at once
		for name, check := range map[string]func(*queue.Queue) error{
			"Validate": (*queue.Queue).Validate,
			"Run":      func(q *queue.Queue) error { return q.Run(ctx) },
			"Submit":   func(q *queue.Queue) error { return q.Submit(t.Context(), message("a@example.com", "b@example.net")) },
		} {
			w := newWorld(t, c.change)
			if err := check(w.q); textOf(err) != c.want {
				t.Errorf("%s: got %q, want %q", name, textOf(err), c.want)
			}
		}
	}
}

func retries(p queue.RetryPolicy) func(*queue.Queue) { return func(q *queue.Queue) { q.Retry = p } }

func textOf(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// Submit may be called before the settings of the Deliverer are complete. Run and
// Validate return the error of its Check.
func TestSubmitBeforeTheDelivererIsComplete(t *testing.T) {
	w := newWorld(t, nil)
	w.q.Deliverer = incomplete{w}
	const want = "queue: Queue.Deliverer: the table is missing"
	if err := w.q.Submit(t.Context(), message("a@example.com", "b@example.net")); err != nil {
		t.Error("Submit:", err)
	}
	if err := w.q.Validate(); textOf(err) != want {
		t.Error("Validate:", err)
	}
	if err := w.q.Run(t.Context()); textOf(err) != want {
		t.Error("Run:", err)
	}
}

type incomplete struct{ queue.Deliverer }

func (incomplete) Check() error { return errors.New("the table is missing") }

// Submit refuses what is not an address, and accepts all forms of addresses.
func TestSubmitChecksAddresses(t *testing.T) {
	w := newWorld(t, nil)
	for address, want := range map[string]string{
		"bob":                                  `553 5.1.3 Recipient "bob" has no domain`,
		"bob@":                                 `553 5.1.3 Recipient "bob@" is not an address: `,
		"@example.net":                         `553 5.1.3 Recipient "@example.net" is not an address: `,
		"a@x,b@x":                              `553 5.1.3 Recipient "a@x,b@x" is not an address: `,
		"bob@example.net,carol@example.net":    `553 5.1.3 Recipient "bob@example.net,carol@example.net" is not an address: `,
		"bob@example.net;carol@example.net":    `553 5.1.3 Recipient "bob@example.net;carol@example.net" is not an address: `,
		"":                                     `553 5.1.3 Recipient "" is empty`,
		"<bob@example.net>":                    `553 5.1.3 Recipient "<bob@example.net>" has '<' outside quotes`,
		"Bob <bob@example.net>":                `553 5.1.3 Recipient "Bob <bob@example.net>" has ' ' outside quotes`,
		"bob@example..net":                     `553 5.1.3 Recipient "bob@example..net" is not an address: `,
		"bob@[192.0.2.300]":                    `553 5.1.3 Recipient "bob@[192.0.2.300]" is not an address: `,
		`"bob@example.net`:                     `553 5.1.3 Recipient "\"bob@example.net" has an open quote`,
		`"bob@example.net"`:                    `553 5.1.3 Recipient "\"bob@example.net\"" has no domain`,
		"bob@example.net\r\nRCPT TO:<x@y.net>": `553 5.1.3 Recipient "bob@example.net\r\nRCPT TO:<x@y.net>" has a control character`,

		"bob@example.net":            "",
		"Bob@EXAMPLE.net":            "",
		"bob@example.net.":           "",
		"bob@xn--mnchen-3ya.example": "",
		"bob@münchen.example":        "",
		"jörg@bücher.example":        "",
		`"Bob Jones"@example.net`:    "",
		`"bob@home"@example.net`:     "",
		"bob@[192.0.2.1]":            "",
		"bob@[IPv6:2001:db8::1]":     "",
		"bob@localhost":              "",
		"prvs=tag=bob@example.net":   "",
		"bob@under_score.example":    "",
		"postmaster":                 "",
		"Postmaster":                 "",
	} {
		if got := reply(w.q.Submit(t.Context(), message("alice@example.com", address))); !same(got, want) {
			t.Errorf("recipient %q: got %q, want %q", address, got, want)
		}
		want = strings.Replace(want, "553 5.1.3 Recipient", "553 5.1.7 Sender", 1)
		switch strings.ToLower(address) {
		case "": // the null reverse-path
			want = ""
		case "postmaster": // MAIL has no short form (RFC 5321, 4.1.1.2)
			want = `553 5.1.7 Sender "` + address + `" has no domain`
		}
		if got := reply(w.q.Submit(t.Context(), message(address, "bob@example.net"))); !same(got, want) {
			t.Errorf("sender %q: got %q, want %q", address, got, want)
		}
	}
}

// same reports whether got is want. If want ends with a space, it is the
// beginning of got.
func same(got, want string) bool {
	return got == want || strings.HasSuffix(want, ": ") && strings.HasPrefix(got, want)
}

// reply returns the reply for the client that err wraps.
func reply(err error) string {
	var se *smtp.SMTPError
	if err == nil {
		return ""
	}
	if !errors.As(err, &se) {
		return "no reply: " + err.Error()
	}
	ec := se.EnhancedCode
	return fmt.Sprintf("%d %d.%d.%d %s", se.Code, ec[0], ec[1], ec[2], se.Message)
}

// Submit refuses what is not a mail message.
func TestSubmitChecksContent(t *testing.T) {
	var noReader *strings.Reader
	const header = "From: a@example.com\r\nSubject: x\r\n\r\n"
	binary := smtp.MailOptions{Body: smtp.BodyBinaryMIME}
	for _, c := range []struct {
		name    string
		content queue.Content
		options smtp.MailOptions
		want    string
	}{
		{"nil", nil, smtp.MailOptions{}, "554 5.6.0 Message.Content is nil"},
		{"a typed nil", noReader, smtp.MailOptions{}, "554 5.6.0 Message.Content is nil"},
		{"empty", queue.String(""), smtp.MailOptions{}, "554 5.6.0 The content has no header: it must begin with a header field such as From"},
		{"only text", queue.String("just text"), smtp.MailOptions{}, "554 5.6.0 The content has no header: it must begin with a header field such as From"},
		{"an empty header", queue.String("\r\ntext\r\n"), smtp.MailOptions{}, "554 5.6.0 The content has no header: it must begin with a header field such as From"},
		{"LF", queue.String("Subject: x\n\nline\n"), smtp.MailOptions{}, "554 5.6.11 The content is not a mail message: line 1 has a bare LF: lines must end with CRLF"},
		{"LF in the body", queue.String(header + "one\r\ntwo\nthree\r\n"), smtp.MailOptions{}, "554 5.6.11 The content is not a mail message: line 5 has a bare LF: lines must end with CRLF"},
		{"CR", queue.String(header + "one\rtwo\r\n"), smtp.MailOptions{}, "554 5.6.11 The content is not a mail message: line 4 has a bare CR: lines must end with CRLF"},
		{"CR at the end", queue.String(header + "one\r"), smtp.MailOptions{}, "554 5.6.11 The content is not a mail message: line 4 has a bare CR: lines must end with CRLF"},
		{"LF in a reader", strings.NewReader(header + "two\nthree\r\n"), smtp.MailOptions{}, "554 5.6.11 The content is not a mail message: line 4 has a bare LF: lines must end with CRLF"},

		{"CRLF", queue.String(header + "text\r\n"), smtp.MailOptions{}, ""},
		{"no body", queue.String("Subject: x\r\n\r\n"), smtp.MailOptions{}, ""},
		{"only a header", queue.String("Subject: x\r\n"), smtp.MailOptions{}, ""},
		{"no end of the last line", queue.String(header + "text"), smtp.MailOptions{}, ""},
		{"a line of a mailbox file", queue.String("From a Sat Nov 28 2026\r\nSubject: x\r\n\r\n"), smtp.MailOptions{}, ""},
		{"8 bits", queue.String(header + "Grüße\r\n"), smtp.MailOptions{}, ""},
		{"long lines", queue.String(header + strings.Repeat("x", 5000) + "\r\n"), smtp.MailOptions{}, ""},
		{"BINARYMIME", queue.String(header + "any\rbytes\n"), binary, ""},
		{"a reader", strings.NewReader(header + "text\r\n"), smtp.MailOptions{}, ""},
	} {
		w := newWorld(t, nil)
		m := message("alice@example.com", "bob@example.net")
		m.Content, m.Options.MailOptions = c.content, c.options
		if got := reply(w.q.Submit(t.Context(), m)); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

// A strings.Reader can be written only once. Submit reads it so that the whole
// content is stored and delivered, also after a hook has read it.
func TestSubmitReader(t *testing.T) {
	const text = "Subject: x\r\n\r\nimportant\r\n"
	synctest.Test(t, func(t *testing.T) {
		reads := func(_ context.Context, m *queue.Message) error {
			if got := contentText(m.Content); got != text {
				t.Errorf("a hook read %q", got)
			}
			return nil
		}
		w := newWorld(t, func(q *queue.Queue) { q.Hooks = []queue.Hook{{Submitted: reads}, {Submitted: reads}} }).run()
		defer w.shutdown()
		m := message("alice@example.com", "bob@example.net")
		m.Content = strings.NewReader(text)
		if err := w.q.Submit(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if calls := w.took(); len(calls) != 1 || calls[0].text != text {
			t.Errorf("delivered %v", calls)
		}
	})
}

// A nil message, and messages that were submitted before, are errors.
func TestSubmitNilOrTwice(t *testing.T) {
	w := newWorld(t, nil)
	if got := reply(w.q.Submit(t.Context(), nil)); got != "554 5.3.0 The message is nil" {
		t.Errorf("nil: %q", got)
	}
	m := message("alice@example.com", "bob@example.net")
	if err := w.q.Submit(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	err := w.q.Submit(t.Context(), m)
	if got := reply(err); got != "554 5.3.0 The Message was submitted before: Submit needs a new Message each time" || !errors.Is(err, queue.ErrExists) {
		t.Errorf("twice: %v", err)
	}
	// A copy with another ID is another message.
	c := *m
	c.ID, c.Recipients = "", queue.Rcpt("bob@example.net")
	if err := w.q.Submit(t.Context(), &c); err != nil {
		t.Errorf("a copy: %v", err)
	}
	c = *m
	err = w.q.Submit(t.Context(), &c)
	if got := reply(err); got != "554 5.3.0 A message with this ID is in the queue already" || !errors.Is(err, queue.ErrExists) {
		t.Errorf("the same ID: %v", err)
	}
	// A message that was refused can be submitted again.
	w.q.Freeze(context.Background())
	m = message("alice@example.com", "bob@example.net")
	if err := w.q.Submit(t.Context(), m); err == nil {
		t.Error("a frozen queue accepted a message")
	}
	w.q.Thaw(context.Background())
	if err := w.q.Submit(t.Context(), m); err != nil {
		t.Errorf("after Thaw: %v", err)
	}
}

// A message that was delivered, and removed from the store, cannot be submitted
// again: its recipients have ended, so it would not be sent.
func TestSubmitDeliveredMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil).run()
		defer w.shutdown()
		m := message("alice@example.com", "bob@example.net")
		if err := w.q.Submit(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if err := w.q.Submit(t.Context(), m); !errors.Is(err, queue.ErrExists) {
			t.Errorf("got %v", err)
		}
	})
}

package queue_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/content"
	"github.com/bridgehead-mail/bridgehead/queue"
)

// A counted content counts how often its bytes are read.
type counted struct {
	*strings.Reader
	reads *atomic.Int32
}

func (c counted) ReadAt(b []byte, off int64) (int, error) {
	c.reads.Add(1)
	return c.Reader.ReadAt(b, off)
}

func (c counted) WriteTo(w io.Writer) (int64, error) {
	return io.Copy(w, io.NewSectionReader(c.Reader, 0, c.Size()))
}

func hops(n int) queue.Content {
	return queue.String(strings.Repeat("Received: from a by b\r\n\tid 1; Mon, 1 Jan 2024 00:00:00 +0000\r\n", n) + "Subject: x\r\n\r\nReceived: not this\r\n")
}

const ownTrace = "Received: from a by Relay.example.com\r\n\twith ESMTP id 1; Mon, 1 Jan 2024 00:00:00 +0000\r\n"

// A message with too many hops is refused when it is submitted. After it was
// accepted it is not counted again.
func TestHops(t *testing.T) {
	text := func(c queue.Content) string {
		var b strings.Builder
		c.WriteTo(&b)
		return b.String()
	}
	for _, tt := range []struct {
		name    string
		limit   int
		content queue.Content
		origin  queue.Origin
		refused bool
	}{
		{"none", 0, queue.String("Subject: x\r\n\r\n"), queue.Origin{}, false},
		{"thirty", 0, hops(30), queue.Origin{}, false},
		{"thirty-one", 0, hops(31), queue.Origin{}, true},
		{"pickup", 0, hops(31), queue.Origin{Connector: "pickup"}, true},
		{"another limit", 3, hops(4), queue.Origin{}, true},
		{"a larger limit", 100, hops(100), queue.Origin{}, false},
		{"thirty, and our own", 0, queue.String(ownTrace + text(hops(30))), queue.Origin{Connector: "replay"}, false},
		{"thirty-one, and our own", 0, queue.String(ownTrace + text(hops(31))), queue.Origin{Connector: "replay"}, true},
		{"from SMTP, counted there", 0, hops(61), queue.Origin{Protocol: "ESMTP"}, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, func(q *queue.Queue) { q.Limits.Received = tt.limit })
			w.run()
			defer w.shutdown()
			synctest.Wait()
			m := message("alice@example.com", "bob@example.net")
			m.Content, m.Origin = tt.content, tt.origin
			err := w.q.Submit(context.Background(), m)
			var reply *smtp.SMTPError
			switch {
			case tt.refused && (!errors.As(err, &reply) || reply.Code != 554 || reply.EnhancedCode != smtp.EnhancedCode{5, 4, 6}):
				t.Errorf("%s: %v, want 554 5.4.6", tt.name, err)
			case !tt.refused && err != nil:
				t.Errorf("%s: %v", tt.name, err)
			}
			synctest.Wait()
			calls := w.took()
			if tt.refused && len(calls) > 0 || !tt.refused && (len(calls) != 1 || calls[0].from != "alice@example.com") {
				t.Errorf("%s: delivered %v", tt.name, calls)
			}
		})
	}
}

// A message in the store is delivered even if the limit is lower after a
// restart.
func TestHopsOfStoredMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		before := newWorld(t, func(q *queue.Queue) { q.Limits.Received = 100 })
		m := message("alice@example.com", "bob@example.net")
		m.Content = hops(60)
		if err := before.q.Submit(context.Background(), m); err != nil {
			t.Fatal(err)
		}
		after := newWorld(t, func(q *queue.Queue) { q.Store = before.store })
		after.run()
		defer after.shutdown()
		synctest.Wait()
		if c := after.took(); len(c) != 1 || c[0].from != "alice@example.com" {
			t.Errorf("delivered %v", c)
		}
	})
}

// If a hook adds too many fields to a report of the queue itself, the report
// becomes bad mail with the status 4.4.6.
func TestHopsOfReports(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var bad *queue.Message
		w := newWorld(t, func(q *queue.Queue) {
			q.BadMail = func(_ context.Context, m *queue.Message) error { bad = m; return nil }
			q.Hooks = []queue.Hook{{Name: "trace", Submitted: func(_ context.Context, m *queue.Message) error {
				if m.System {
					m.Content = hops(31)
				}
				return nil
			}}}
		})
		w.route = func(_ *queue.Message, r *queue.Recipient) (queue.NextHop, error) {
			return queue.NextHop{}, &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 4, 4}, Message: "no route"}
		}
		w.run()
		defer w.shutdown()
		synctest.Wait()
		w.submit("alice@example.com", "bob@example.net")
		synctest.Wait()
		if bad == nil || bad.Recipients[0].Last.Reply.EnhancedCode != (smtp.EnhancedCode{4, 4, 6}) {
			t.Errorf("bad mail: %+v", bad)
		}
	})
}

// An exported message can be submitted again: the field that this host added
// does not count.
func TestHopsOfAnExportedMessage(t *testing.T) {
	var whole, file strings.Builder
	hops(30).WriteTo(&whole)
	m := message("alice@example.com", "bob@example.net")
	m.Content = queue.String(ownTrace + whole.String())
	if err := queue.Export(&file, m); err != nil {
		t.Fatal(err)
	}
	again, err := queue.Import(queue.String(file.String()))
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, nil)
	if err := w.q.Submit(context.Background(), again); err != nil {
		t.Error(err)
	}
}

// Addresses that the queue accepts and ForwardPath does not can be exported and
// imported too.
func TestExportOfAllAddresses(t *testing.T) {
	long := strings.Repeat("a", 300) + "@example.net"
	m := message(long, "root", long, "bob@example.net.", `"a> b"@example.net`)
	var file strings.Builder
	if err := queue.Export(&file, m); err != nil {
		t.Fatal(err)
	}
	again, err := queue.Import(queue.String(file.String()))
	if err != nil {
		t.Fatal(err)
	}
	if again.From != m.From || len(again.Recipients) != len(m.Recipients) {
		t.Fatalf("%q to %d recipients", again.From, len(again.Recipients))
	}
	for i, r := range again.Recipients {
		if r.Addr != m.Recipients[i].Addr {
			t.Errorf("%q, want %q", r.Addr, m.Recipients[i].Addr)
		}
	}
}

// The header of a report is searched once for its hops, for all recipients
// together. The header of other mail is not searched again.
func TestHeaderIsReadOnce(t *testing.T) {
	for _, system := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) { headerIsReadOnce(t, system) })
	}
}

func headerIsReadOnce(t *testing.T, system bool) {
	var reads atomic.Int32
	w := newWorld(t, func(q *queue.Queue) { q.Store = countingStore{q.Store, &reads} })
	w.run()
	defer w.shutdown()
	synctest.Wait()
	m := message("alice@example.com")
	m.System = system
	for range 1000 {
		m.Recipients = append(m.Recipients, queue.Rcpt("bob@example.net")...)
	}
	if err := w.q.Submit(context.Background(), m); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
	if n := reads.Load(); system && (n == 0 || n > 10) || !system && n != 0 {
		t.Errorf("a report: %v, read %d times", system, n)
	}
}

// Submit reads the header of a message from a server once, to repair it, even if
// there are hooks that do not change the content. It reads the content of a
// message from the application once more, to check its line ends.
func TestSubmitReadsHeaderOnce(t *testing.T) {
	idle := []queue.Hook{{Name: "idle", Submitted: func(context.Context, *queue.Message) error { return nil }}}
	for _, tt := range []struct {
		name     string
		hooks    []queue.Hook
		protocol string
		reads    int32
	}{
		{"from a server", nil, "ESMTP", 1},
		{"from a server, a hook", idle, "ESMTP", 1},
		{"from the application", nil, "", 2},
		{"from the application, a hook", idle, "", 2},
	} {
		var reads, whenStored atomic.Int32
		text := "Received: from a by b\r\nSubject: x\r\n\r\nx\r\n"
		w := newWorld(t, func(q *queue.Queue) {
			q.Hooks = tt.hooks
			q.Store = beforePut{q.Store, func() { whenStored.Store(reads.Load()) }}
		})
		m := message("alice@example.com", "bob@example.net")
		m.Origin.Protocol = tt.protocol
		m.Content = content.Section(counted{strings.NewReader(text), &reads}, 0, int64(len(text)))
		if err := w.q.Submit(context.Background(), m); err != nil {
			t.Fatal(err)
		}
		if n := whenStored.Load(); n != tt.reads {
			t.Errorf("%s: the content was read %d times before it was stored, want %d", tt.name, n, tt.reads)
		}
	}
}

type beforePut struct {
	queue.Store
	f func()
}

func (s beforePut) Put(ctx context.Context, m *queue.Message, sch queue.Schedule) error {
	s.f()
	return s.Store.Put(ctx, m, sch)
}

type countingStore struct {
	queue.Store
	reads *atomic.Int32
}

func (s countingStore) Put(ctx context.Context, m *queue.Message, sch queue.Schedule) error {
	err := s.Store.Put(ctx, m, sch)
	m.Content = counted{strings.NewReader("Subject: x\r\n\r\nx\r\n"), s.reads}
	return err
}

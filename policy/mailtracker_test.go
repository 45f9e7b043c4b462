package policy

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// recorded has the events that a MailTracker records.
type recorded struct {
	mu  sync.Mutex // guards all
	all []queue.Event
}

func (r *recorded) Record(e queue.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, e)
}

func (r *recorded) take() []queue.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := r.all
	r.all = nil
	return all
}

// refusing is a server that refuses the recipient "no@example.com", and discards
// messages whose subject is "discard".
func refusing(t *testing.T, tracker *MailTracker) (*smtpserver.Server, *smtptest.Listener) {
	l := smtptest.NewListener()
	srv := &smtpserver.Server{Name: "in", Hostname: "relay.example.com", Observe: tracker.Observe, Agents: []smtpserver.Agent{{Name: "filter",
		Rcpt: func(_ context.Context, _ *smtpserver.Session, to string, _ *smtp.RcptOptions) error {
			if to == "no@example.com" {
				return smtpserver.Reject(550, "5.7.1", "Not for you")
			}
			return nil
		},
		EndOfData: func(_ context.Context, s *smtpserver.Session, m *smtpserver.Message) error {
			switch m.Header.Get("Subject") {
			case "discard":
				return smtpserver.ErrDiscard
			case "quarantine":
				s.Quarantined("spam@example.com", "yes@example.com")
			}
			return smtpserver.Reject(550, "5.7.1", "Spam")
		}}},
		Handler: smtpserver.HandlerFunc(func(context.Context, *smtpserver.Session, *smtpserver.Message) (string, error) { return "", nil })}
	go srv.Serve(l)
	return srv, l
}

func talk(t *testing.T, l *smtptest.Listener, from, script string) {
	t.Helper()
	c, err := l.Dial(from)
	if err != nil {
		t.Fatal(err)
	}
	smtptest.TalkOn(t, c, "S: 220\nC: EHLO client.example\nS: 250\nC: MAIL FROM:<a@example.org>\nS: 250\n"+script+"C: QUIT\nS: 221\n").Close()
}

const refusedOnce = "C: RCPT TO:<no@example.com>\nS: 550\n"

// The events have what is known of the mail.
func TestMailTrackerEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := new(recorded)
		tracker := &MailTracker{Queue: r}
		srv, l := refusing(t, tracker)
		defer srv.Close()
		text := func(subject string) string {
			return "C: RCPT TO:<yes@example.com>\nS: 250\nC: DATA\nS: 354\nC: Message-ID: <1@example.org>\nC: Subject: " + subject + "\nC:\nC: x\nC: .\n"
		}
		talk(t, l, "192.0.2.1:1025", refusedOnce+text("discard")+"S: 250\n")
		talk(t, l, "192.0.2.1:1026", text("spam")+"S: 550\n")
		talk(t, l, "192.0.2.1:1027", text("quarantine")+"S: 550\n")
		tracker.Flush()
		var got []string
		for _, e := range r.take() {
			if e.Origin != (queue.Origin{Connector: "in", ClientAddr: "192.0.2.1", ClientHelo: "client.example", Protocol: "ESMTP", ServerAddr: "198.51.100.1"}) || e.ID == "" || e.From != "a@example.org" {
				t.Errorf("%+v", e)
			}
			got = append(got, fmt.Sprintf("%v %d %s %s %s %v %s %v", e.Kind, e.Number(), e.MessageID, e.Subject, e.Text, e.Recipients, e.Related, e.Size > 0))
		}
		want := []string{
			"REJECT 1040   filter [{no@example.com failed 550 5.7.1 Not for you}]  false",
			"DROP 1039 <1@example.org> discard filter [{yes@example.com removed }]  true",
			"REJECT 1040 <1@example.org> spam filter [{yes@example.com failed 550 5.7.1 Spam}]  true",
			"QUARANTINE 1041 <1@example.org> quarantine filter [{yes@example.com removed }] spam@example.com true",
			"REJECT 1040 <1@example.org> quarantine filter [{yes@example.com failed 550 5.7.1 Spam}]  true",
		}
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	})
}

// A client that is refused very often has a few events, and one with the number of
// the others. The refusals of all clients together have a limit too. Messages that
// were received completely are not counted.
func TestMailTrackerIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := new(recorded)
		tracker := &MailTracker{Queue: r, PerMinute: 1}
		srv, l := refusing(t, tracker)
		defer srv.Close()
		talk(t, l, "192.0.2.1:1025", strings.Repeat(refusedOnce, 25))
		if n := len(r.take()); n != trackedEach {
			t.Errorf("%d events", n)
		}
		time.Sleep(trackedWindow)
		synctest.Wait()
		if all := r.take(); len(all) != 1 || all[0].Count != 15 || all[0].Origin.ClientAddr != "192.0.2.1" || all[0].Number() != 0 {
			t.Errorf("after a minute: %+v", all)
		}
		total := 0
		for i := range 30 { // 60 are saved up at first, and one more for the minute
			talk(t, l, fmt.Sprintf("198.51.100.%d:1025", i), strings.Repeat(refusedOnce, 5))
		}
		events := r.take()
		if len(events) != 50 {
			t.Errorf("%d events of many clients", len(events))
		}
		tracker.Flush()
		last := r.take()
		for _, e := range last {
			total += e.Count
		}
		if total+len(events) != 150 || len(last) != 1 || last[0].Origin.ClientAddr != "" {
			t.Errorf("%d events and %d counted: %+v", len(events), total, last)
		}
		talk(t, l, "192.0.2.1:1025", "C: RCPT TO:<yes@example.com>\nS: 250\nC: DATA\nS: 354\nC:\nC: .\nS: 550\n")
		if all := r.take(); len(all) != 1 {
			t.Errorf("a complete message: %+v", all)
		}
	})
}

// A client is an IPv4 address or an IPv6 network. Without events of their own, and
// when there are too many clients, refusals are counted together.
func TestMailTrackerClients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := new(recorded)
		tracker := &MailTracker{Queue: r, PerMinute: -1}
		s, l := refusing(t, tracker)
		defer s.Close()
		for i := range 3 {
			talk(t, l, fmt.Sprintf("[2001:db8::%d]:25", i), refusedOnce) // one network
			talk(t, l, fmt.Sprintf("[2001:db8:0:%d::]:25", i+1), refusedOnce)
		}
		tracker.mu.Lock()
		n := len(tracker.clients)
		tracker.mu.Unlock()
		if n != 4 {
			t.Errorf("%d clients", n)
		}
		tracker.Flush()
		if all := r.take(); len(all) != 1 || all[0].Count != 6 {
			t.Errorf("%+v", all)
		}
		tracker.mu.Lock()
		tracker.clients = make(map[netip.Prefix]*trackedRefusals)
		for i := range trackedClients {
			tracker.clients[netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 32)] = new(trackedRefusals)
		}
		tracker.mu.Unlock()
		talk(t, l, "192.0.2.1:25", refusedOnce)
		tracker.mu.Lock()
		n = len(tracker.clients)
		tracker.mu.Unlock()
		tracker.Flush()
		if all := r.take(); n != trackedClients || len(all) != 1 || all[0].Count != 1 {
			t.Errorf("%d clients, %+v", n, all)
		}
	})
}

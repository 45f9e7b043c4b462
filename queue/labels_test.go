package queue_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// labeled returns a message with labels.
func labeled(labels map[string]string, to ...string) *queue.Message {
	return &queue.Message{
		From: "alice@example.com", Recipients: queue.Rcpt(to...),
		Content: queue.String("Subject: Lunch\r\n\r\nAt noon?\r\n"), Options: queue.MessageOptions{Labels: labels},
	}
}

// Hooks, the Deliverer, events and lists have the labels of a message. A report
// about the message does not.
func TestLabels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stamp := queue.Hook{Name: "stamp", Submitted: func(_ context.Context, m *queue.Message) error {
			if m.Options.Labels["tenant"] == "acme" {
				m.Options.SetLabel("plan", "gold")
			}
			return nil
		}}
		w := newWorld(t, func(q *queue.Queue) { q.Hooks = []queue.Hook{stamp} })
		var mu sync.Mutex // guards the maps
		routed, delivered := map[string]string{}, map[string]string{}
		w.route = func(m *queue.Message, r *queue.Recipient) (queue.NextHop, error) {
			mu.Lock()
			defer mu.Unlock()
			routed[r.Addr] = fmt.Sprint(m.Options.Labels)
			return queue.NextHop{Connector: "tenant-" + m.Options.Labels["tenant"], Destination: "example.net"}, nil
		}
		w.deliver = func(hop queue.NextHop, m *queue.Message, r *queue.Recipient) queue.Result {
			mu.Lock()
			defer mu.Unlock()
			delivered[r.Addr] = fmt.Sprint(m.Options.Labels)
			if r.Addr == "bob@example.net" {
				return queue.Fail(nil)
			}
			return queue.Done()
		}
		events := w.q.Subscribe(0)
		given := map[string]string{"tenant": "acme", "campaign": "spring"}
		for _, m := range []*queue.Message{labeled(given, "bob@example.net"), labeled(nil, "carol@example.net")} {
			if err := w.q.Submit(t.Context(), m); err != nil {
				t.Fatal(err)
			}
		}
		if len(given) != 2 {
			t.Errorf("the map of the caller was changed: %v", given)
		}
		given["campaign"] = "autumn" // for the next message
		for _, c := range []struct {
			labels map[string]string
			want   int
		}{{nil, 2}, {map[string]string{"tenant": "acme"}, 1}, {map[string]string{"tenant": "ac*", "campaign": "spring"}, 1},
			{map[string]string{"tenant": "acme", "campaign": "autumn"}, 0}, {map[string]string{"tenant": "other"}, 0}, {map[string]string{"none": ""}, 0}} {
			n := 0
			for info, err := range w.q.Messages(t.Context(), queue.Filter{Labels: c.labels}) {
				if err != nil || c.labels != nil && fmt.Sprint(info.Labels) != "map[campaign:spring plan:gold tenant:acme]" {
					t.Errorf("%v, %v", info, err)
				}
				n++
			}
			if n != c.want {
				t.Errorf("%v selects %d messages, want %d", c.labels, n, c.want)
			}
		}
		w.run()
		w.took()
		w.shutdown()
		events.Close()
		for who, want := range map[string]string{
			"bob@example.net": "map[campaign:spring plan:gold tenant:acme]", "carol@example.net": "map[]",
			"alice@example.com": "map[]", // the report
		} {
			if routed[who] != want || delivered[who] != want {
				t.Errorf("%s: routed with %s, delivered with %s, want %s", who, routed[who], delivered[who], want)
			}
		}
		kinds := map[string]string{}
		for e := range events.C {
			if len(e.Recipients) > 0 {
				kinds[e.Kind.String()+" "+e.Recipients[0].Addr] = fmt.Sprint(e.Labels)
			}
		}
		for what, want := range map[string]string{
			"RECEIVE bob@example.net": "map[campaign:spring plan:gold tenant:acme]", "FAIL bob@example.net": "map[campaign:spring plan:gold tenant:acme]",
			"DSN bob@example.net": "map[campaign:spring plan:gold tenant:acme]", "SEND carol@example.net": "map[]",
			"RECEIVE alice@example.com": "map[]", "SEND alice@example.com": "map[]",
		} {
			if kinds[what] != want {
				t.Errorf("%s has labels %s, want %s", what, kinds[what], want)
			}
		}
	})
}

// Bad mail that is resubmitted keeps its labels.
func TestResubmitKeepsLabels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		var got []string
		w.deliver = func(hop queue.NextHop, m *queue.Message, r *queue.Recipient) queue.Result {
			got = append(got, fmt.Sprint(m.Options.Labels))
			if len(got) == 1 {
				return queue.Fail(nil)
			}
			return queue.Done()
		}
		w.run()
		defer w.shutdown()
		m := labeled(map[string]string{"tenant": "acme"}, "bob@example.net")
		m.From = "" // so there is no report
		if err := w.q.Submit(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		w.took()
		w.do(queue.Filter{Status: queue.MessageBad, Labels: map[string]string{"tenant": "acme"}}, queue.Resubmit(), 1)
		w.took()
		if want := []string{"map[tenant:acme]", "map[tenant:acme]"}; !slices.Equal(got, want) {
			t.Errorf("delivered with %q, want %q", got, want)
		}
	})
}

// Submit refuses labels that are not valid, also those of a hook. The reply to a
// client does not show them.
func TestWrongLabels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bad := ""
		w := newWorld(t, func(q *queue.Queue) {
			q.Hooks = []queue.Hook{{Name: "stamp", Submitted: func(_ context.Context, m *queue.Message) error {
				if bad != "" {
					m.Options.SetLabel(bad, "x")
				}
				return nil
			}}}
		})
		check := func(err error, want string) {
			t.Helper()
			var reply *smtp.SMTPError
			if !errors.As(err, &reply) || reply.Code != 451 || reply.EnhancedCode != (smtp.EnhancedCode{4, 3, 5}) || !strings.Contains(err.Error(), want) || strings.Contains(reply.Message, want) {
				t.Errorf("%v, want 451 4.3.5 and %s", err, want)
			}
		}
		check(w.q.Submit(t.Context(), labeled(map[string]string{"tenant": "ac\nme"}, "bob@example.net")), `label "tenant": the value contains a control character`)
		bad = "no key"
		check(w.q.Submit(t.Context(), labeled(nil, "bob@example.net")), `label "no key": the key contains byte ' '`)
		bad = ""
		if err := w.q.Submit(t.Context(), labeled(map[string]string{"tenant": "acme"}, "bob@example.net")); err != nil || w.stored() != 1 {
			t.Errorf("%v, %d stored", err, w.stored())
		}
	})
}

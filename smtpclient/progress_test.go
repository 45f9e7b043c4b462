package smtpclient

import (
	"context"
	"fmt"
	"strings"
	"testing"
)

// told returns a message and the calls of its Progress, one line each.
func told(rcpts ...string) (*Message, *[]string) {
	m, calls := mail("Hello.\r\n", rcpts...), new([]string)
	m.Progress = func(rcpts []int, results []Result) {
		var b strings.Builder
		for _, i := range rcpts {
			fmt.Fprintf(&b, "%s %s %d, ", m.Recipients[i].Addr, results[i].Outcome, results[i].Reply.Code)
		}
		*calls = append(*calls, strings.TrimSuffix(b.String(), ", "))
	}
	return m, calls
}

const pipelining = "S: 220 mx\nC: EHLO relay.example\nS: 250-mx\nS: 250 PIPELINING\n"

// transactionTo returns the script of a transaction that ends with a reply.
func transactionTo(reply string, rcpts ...string) string {
	s := "C: MAIL FROM:<a@example.com>\n"
	for _, r := range rcpts {
		s += "C: RCPT TO:<" + r + ">\n"
	}
	s += "C: DATA\nS: 250 ok\n" + strings.Repeat("S: 250 ok\n", len(rcpts))
	return s + "S: 354 go\nC: <content>\nS: " + reply + "\n"
}

// Progress is called before Send continues with other recipients, and not when Send is
// about to return.
func TestProgress(t *testing.T) {
	one, two := "192.0.2.1:25", "192.0.2.2:25"
	all := []string{"b@example.net", "c@example.net", "d@example.net"}
	for _, tt := range []struct {
		name  string
		rcpts []string
		most  int // recipients of a transaction
		hosts map[string]string
		want  []string
		sum   string
	}{
		{name: "one transaction", rcpts: all,
			hosts: map[string]string{one: pipelining + transactionTo("250 done", all...) + "C: <any>"},
			sum:   "success 250 0.0.0 done [mx1.example.net]\nsuccess 250 0.0.0 done [mx1.example.net]\nsuccess 250 0.0.0 done [mx1.example.net]"},
		{name: "two transactions", rcpts: all, most: 2,
			hosts: map[string]string{one: pipelining + transactionTo("250 done", all[:2]...) + transactionTo("550 no", all[2]) + "C: <any>"},
			want:  []string{"b@example.net success 250, c@example.net success 250"},
			sum:   "success 250 0.0.0 done [mx1.example.net]\nsuccess 250 0.0.0 done [mx1.example.net]\nfailure 550 0.0.0 no [mx1.example.net]"},
		{name: "the session fails in the second transaction", rcpts: all, most: 2,
			hosts: map[string]string{
				one: pipelining + transactionTo("250 done", all[:2]...) + "C: <any>\nS: <close>",
				two: pipelining + transactionTo("250 done", all[2]) + "C: <any>",
			},
			want: []string{"b@example.net success 250, c@example.net success 250"},
			sum:  "success 250 0.0.0 done [mx1.example.net]\nsuccess 250 0.0.0 done [mx1.example.net]\nsuccess 250 0.0.0 done [mx2.example.net]"},
		{name: "another host", rcpts: all,
			hosts: map[string]string{
				one: pipelining + "C: MAIL FROM:<a@example.com>\nC: RCPT TO:<b@example.net>\nC: RCPT TO:<c@example.net>\nC: RCPT TO:<d@example.net>\nC: DATA\n" +
					"S: 250 ok\nS: 450 later\nS: 250 ok\nS: 550 no\nS: 354 go\nC: <content>\nS: 250 done\nC: <any>",
				two: pipelining + transactionTo("250 done", all[0]) + "C: <any>",
			},
			want: []string{"c@example.net success 250"},
			sum:  "success 250 0.0.0 done [mx2.example.net]\nsuccess 250 0.0.0 done [mx1.example.net]\nfailure 550 0.0.0 no [mx1.example.net]"},
		{name: "duplicates", rcpts: []string{"b@example.net", "b@EXAMPLE.net", "c@example.net", "b@example.NET"}, most: 1,
			hosts: map[string]string{one: pipelining + transactionTo("250 done", all[0]) + transactionTo("250 done", all[1]) + "C: <any>"},
			want:  []string{"b@example.net success 250, b@EXAMPLE.net success 250, b@example.NET success 250"},
			sum:   strings.Repeat("success 250 0.0.0 done [mx1.example.net]\n", 4)},
		{name: "nothing was delivered", rcpts: all,
			hosts: map[string]string{
				one: pipelining + transactionTo("451 later", all...) + "C: <any>",
				two: pipelining + transactionTo("250 done", all...) + "C: <any>",
			},
			sum: strings.Repeat("success 250 0.0.0 done [mx2.example.net]\n", 3)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := newNetwork(t)
			tr := n.transport()
			tr.MaxRecipients = tt.most
			tr.MaxIdle = -1
			dst := to(one)
			for addr, script := range tt.hosts {
				n.host(addr, script)
				if addr == two {
					dst = to(one, two)
				}
			}
			m, calls := told(tt.rcpts...)
			expect(t, tr.Send(context.Background(), dst, m), tt.sum)
			if got, want := strings.Join(*calls, "\n"), strings.Join(tt.want, "\n"); got != want {
				t.Errorf("Progress was called with\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// An LMTP host replies for each recipient. Progress is called before the wait for the
// next reply, not for each of the replies that have arrived together.
func TestProgressOfLMTP(t *testing.T) {
	for _, tt := range []struct{ name, replies, want string }{
		{"one after the other", "S: 250 b\nS: 250 c\nS: 450 d\nS: 250 e", "b@example.net success 250\nc@example.net success 250"},
		{"the first two together", "S: 250 b<crlf>250 c\nS: 250 d\nS: 250 e", "b@example.net success 250, c@example.net success 250\nd@example.net success 250"},
		{"all together", "S: 250 b<crlf>250 c<crlf>250 d<crlf>250 e", ""},
		{"half of a reply", "S: 450 b<crlf>250 c<crlf>250-d\nS: 250 d\nS: 250 e", "c@example.net success 250\nd@example.net success 250"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, c := newTestClient(t, &Config{LMTP: true}, "S: 220 lmtp\nC: LHLO relay.example\nS: 250-lmtp\nS: 250 PIPELINING\n"+
				strings.TrimSuffix(transactionTo("", "b@example.net", "c@example.net", "d@example.net", "e@example.net"), "S: \n")+tt.replies)
			m, calls := told("b@example.net", "c@example.net", "d@example.net", "e@example.net")
			c.Send(context.Background(), m)
			if got := strings.Join(*calls, "\n"); got != tt.want {
				t.Errorf("Progress was called with\n%s\nwant\n%s", got, tt.want)
			}
		})
	}
}

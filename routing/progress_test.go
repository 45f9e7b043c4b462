package routing

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/smtpclient"
)

// A journal notes the attempts of transports and the calls of queue.Progress, in order.
type journal struct {
	known []*queue.Recipient
	lines []string
}

// context returns a context for Deliver calls for these recipients.
func (j *journal) context(t *testing.T, rcpts []*queue.Recipient) context.Context {
	j.known = rcpts
	return queue.WithProgress(t.Context(), func(rcpts []*queue.Recipient, results []queue.Result) {
		var done []string
		for i, r := range rcpts {
			if results[i].Outcome != queue.Success {
				continue // the queue ignores it
			}
			if !slices.Contains(j.known, r) {
				t.Error("Progress got a recipient that the queue does not know")
				continue
			}
			done = append(done, r.Addr)
		}
		if len(done) > 0 {
			j.add("progress", done)
		}
	})
}

func (j *journal) add(what string, addrs []string) {
	j.lines = append(j.lines, what+" "+strings.Join(addrs, " "))
}

func (j *journal) want(t *testing.T, lines ...string) {
	t.Helper()
	if got, want := strings.Join(j.lines, "\n"), strings.Join(lines, "\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// transport returns a Transport with an outcome for each recipient; the default is a
// success.
func (j *journal) transport(name string, outcomes map[string]queue.Outcome) Transport {
	return TransportFunc(func(_ context.Context, job *Job) []queue.Result {
		var addrs []string
		results := make([]queue.Result, len(job.Recipients))
		for i, r := range job.Recipients {
			addrs = append(addrs, r.Addr)
			results[i].Outcome = queue.Success
			if o, ok := outcomes[r.Addr]; ok {
				results[i].Outcome = o
			}
		}
		j.add(name, addrs)
		return results
	})
}

// What one hop has accepted is recorded before the next hop is tried.
func TestProgressBetweenHops(t *testing.T) {
	var j journal
	r := &Router{Table: table(t,
		Connector{Name: "hub", Spaces: []string{"example.com", "example.net"}, Transport: j.transport("hub", map[string]queue.Outcome{
			"b@example.com": queue.Unreachable, "c@example.net": queue.Unreachable, "d@example.net": queue.Unreachable})},
		Connector{Name: "com", Spaces: []string{"*.com"}, Transport: j.transport("com", nil)},
		Connector{Name: "net", Spaces: []string{"*.net"}, Transport: j.transport("net", map[string]queue.Outcome{"d@example.net": queue.Unreachable})},
		Connector{Name: "all", Spaces: []string{"*"}, Transport: j.transport("all", nil)},
	)}
	rcpts := recipients("a@example.com", "b@example.com", "c@example.net", "d@example.net")
	ctx := j.context(t, rcpts)
	r.Deliver(ctx, queue.NextHop{Connector: "hub", Destination: "hub"}, &queue.Message{}, rcpts)
	j.want(t,
		"hub a@example.com b@example.com c@example.net d@example.net",
		"progress a@example.com",
		"com b@example.com",
		"progress b@example.com",
		"net c@example.net d@example.net",
		"progress a@example.com b@example.com c@example.net", // the queue ignores what it knows
		"all d@example.net",
	)
	// One hop that accepts all of it ends the attempt. There is nothing to report.
	j.lines = nil
	rcpts = recipients("x@example.org", "y@example.org")
	r.Deliver(j.context(t, rcpts), queue.NextHop{Connector: "all", Destination: "all"}, &queue.Message{}, rcpts)
	j.want(t, "all x@example.org y@example.org")
}

// A connector that was removed leaves mail that is routed to several hops.
func TestProgressOfReroutedMail(t *testing.T) {
	var j journal
	r := &Router{Table: table(t,
		Connector{Name: "com", Spaces: []string{"*.com"}, Transport: j.transport("com", nil)},
		Connector{Name: "net", Spaces: []string{"*.net"}, Transport: j.transport("net", nil)},
	)}
	rcpts := recipients("a@example.com", "b@example.net", "c@example.com")
	r.Deliver(j.context(t, rcpts), queue.NextHop{Connector: "removed"}, &queue.Message{}, rcpts)
	j.want(t, "com a@example.com c@example.com", "progress a@example.com c@example.com", "net b@example.net")
}

// Direct delivery, and then the smart hosts for the rest.
func TestProgressBeforeSmartHosts(t *testing.T) {
	var j journal
	n := newInternet(t, "direct.example. A 192.0.2.4")
	r := n.siteRouter(t, Site{}, Connector{Name: "out", Spaces: []string{"*"}, DirectFirst: true, SmartHosts: SmartHosts("[192.0.2.9]"),
		Transport: SMTP(&smtpclient.Transport{MaxRecipients: 1, MaxIdle: -1, DialContext: func(_ context.Context, _, addr string) (net.Conn, error) {
			j.add("dial", []string{addr})
			ours, theirs := net.Pipe()
			go oneAtATime(theirs, map[string]int{"192.0.2.4:25": 1}[addr])
			return ours, nil
		}})})
	rcpts := recipients("a@direct.example", "b@direct.example")
	m := &queue.Message{From: "alice@example.com", Content: queue.String("Subject: x\r\n\r\n")}
	r.Deliver(j.context(t, rcpts), queue.NextHop{Connector: "out", Destination: "direct.example"}, m, rcpts)
	j.want(t, "dial 192.0.2.4:25",
		"progress a@direct.example", // before the second transaction
		"progress a@direct.example", // before the smart host; the queue ignores what it knows
		"dial 192.0.2.9:25")
}

// A Categorized hook works on copies of the recipients, and may replace them. The queue
// gets its own.
func TestProgressOfCopies(t *testing.T) {
	var j journal
	transport := TransportFunc(func(ctx context.Context, job *Job) []queue.Result {
		ok := []queue.Result{{Outcome: queue.Success}, {Outcome: queue.Success}, {Outcome: queue.Success}}
		queue.Progress(ctx, job.Recipients[:2], ok[:2])
		return ok
	})
	r := &Router{
		Table: table(t, Connector{Name: "out", Spaces: []string{"*"}, Transport: transport}),
		Categorized: func(_ context.Context, _ queue.NextHop, _ *queue.Message, rcpts []*queue.Recipient) error {
			rcpts[0].Addr = "rewritten@example.org"
			rcpts[1] = queue.Rcpt("replaced@example.org")[0]
			return nil
		},
	}
	rcpts := recipients("a@example.net", "b@example.net", "c@example.net")
	r.Deliver(j.context(t, rcpts), queue.NextHop{Connector: "out", Destination: "example.net"}, &queue.Message{}, rcpts)
	j.want(t, "progress a@example.net b@example.net")
}

// A command for each recipient: the next one may take long.
func TestProgressOfPipe(t *testing.T) {
	var j journal
	rcpts := recipients("a@example.net", "b@example.net", "c@example.net")
	p := &Pipe{Command: shell(t, `test "$1" != b@example.net`, "{to}"), PerRecipient: true}
	m := &queue.Message{Content: queue.String("Subject: x\r\n\r\n")}
	p.Deliver(j.context(t, rcpts), &Job{Message: m, Recipients: rcpts})
	j.want(t, "progress a@example.net")
}

// oneAtATime is a host that accepts one recipient in each transaction. If most is not 0,
// it requires authentication after that many transactions.
func oneAtATime(conn net.Conn, most int) {
	defer conn.Close()
	in := bufio.NewReader(conn)
	fmt.Fprint(conn, "220 host\r\n")
	for n, mails := 0, 0; ; {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		reply := "250 ok"
		switch verb := strings.ToUpper(line[:4]); {
		case verb == "MAIL":
			n = 0
			if mails++; most > 0 && mails > most {
				reply = "530 5.7.0 Authentication required"
			}
		case verb == "RCPT":
			if n++; n > 1 {
				reply = "452 4.5.3 Too many recipients"
			}
		case verb == "DATA":
			fmt.Fprint(conn, "354 go\r\n")
			for line != ".\r\n" {
				if line, err = in.ReadString('\n'); err != nil {
					return
				}
			}
		}
		fmt.Fprint(conn, reply+"\r\n")
	}
}

// Several transactions of one message, by SMTP and over a reversed connection.
func TestProgressOfSMTP(t *testing.T) {
	dial := func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go oneAtATime(theirs, 0)
		return ours, nil
	}
	m := &queue.Message{From: "alice@example.com", Content: queue.String("Subject: x\r\n\r\n")}
	for name, deliver := range map[string]func(ctx context.Context, job *Job) []queue.Result{
		"smtp": func(ctx context.Context, job *Job) []queue.Result {
			tr := &smtpclient.Transport{DialContext: dial, MaxRecipients: 1, MaxIdle: -1}
			job.Destination = &smtpclient.Destination{Name: "host", Hosts: smtpclient.HostList(smtpclient.Host{Name: "host", Addrs: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:25")}})}
			return SMTP(tr).Deliver(ctx, job)
		},
		"ATRN": func(ctx context.Context, job *Job) []queue.Result {
			conn, _ := dial(ctx, "", "")
			session := &ReverseSession{slot: make(chan struct{}, 1), moved: make(chan struct{}, 1), client: smtpclient.NewClient(conn, nil)}
			defer session.client.Close()
			return session.deliver(ctx, job)
		},
	} {
		t.Run(name, func(t *testing.T) {
			var j journal
			rcpts := recipients("a@example.net", "b@example.net", "c@example.net")
			results := deliver(j.context(t, rcpts), &Job{Message: m, Recipients: rcpts})
			for i := range results {
				if results[i].Outcome != queue.Success {
					t.Errorf("%s: %+v", rcpts[i].Addr, results[i])
				}
			}
			j.want(t, "progress a@example.net", "progress b@example.net")
		})
	}
}

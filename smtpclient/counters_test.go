package smtpclient

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bridgehead-mail/bridgehead/smtpclient/dane"
)

func TestCounters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		n.host("192.0.2.1:25", ehlo+all+"S: <pause>\nS: 250 2.0.0 queued\n"+refused+quit)
		n.host("192.0.2.3:25", "S: 554 5.7.1 go away"+quit, "<timeout>")
		tr := n.transport()
		tr.IdleTimeout = time.Hour
		text := "Subject: x\r\n\r\nbody\r\n"
		expect(t, tr.Send(t.Context(), alone("192.0.2.1:25"), mail(text, "b@example.net")), queued)
		tr.Send(t.Context(), alone("192.0.2.1:25"), mail(text, "b@example.net"))
		tr.Send(t.Context(), alone("192.0.2.9:25"), mail(text, "b@example.net"))
		for range 2 {
			tr.Send(t.Context(), alone("192.0.2.3:25"), mail(text, "b@example.net"))
		}
		c := tr.Counters()
		if c.Connections != 1 || c.Sessions != 1 || c.Failed != 1 || c.Messages != 1 || c.Bytes != int64(len(text)) || c.TLS["plain"] != 1 {
			t.Errorf("%+v", c)
		}
		if got := fmt.Sprint(c.Connects); got != "map[ok:2 refused:1 timeout:1]" {
			t.Errorf("connects %s", got)
		}
		for key, want := range map[string]int64{
			"greeting 2": 1, "greeting 5.7": 1, "helo 2": 1, "mail 2": 2, "rcpt 2": 1, "rcpt 5.1": 1,
			"data 3": 1, "data 5.5": 1, "end of data 2.0": 1,
		} {
			i := strings.LastIndexByte(key, ' ')
			if n := c.Replies[ReplyKey{Stage: key[:i], Status: key[i+1:]}]; n != want {
				t.Errorf("%s: %d, want %d", key, n, want)
			}
		}
		if d := c.Durations["end of data"]; d.Count != 1 || d.Sum != 60 {
			t.Errorf("end of data: %+v", d)
		}
		if d := c.Durations["connect"]; d.Count != 4 || d.Sum != 30 {
			t.Errorf("connect: %+v", d)
		}
		if d := c.Durations["content"]; d.Count != 1 || d.Sum != 0 {
			t.Errorf("content: %+v", d)
		}
		tr.Close()
		synctest.Wait()
		if c := tr.Counters(); c.Connections != 0 {
			t.Errorf("%d connections after Close", c.Connections)
		}
	})
}

func TestCountersOfTLS(t *testing.T) {
	ca, stranger := newAuthority(t, "CA"), newAuthority(t, "stranger")
	good, bad := ca.issue(nil, "mx1.example.net"), stranger.issue(nil, "mx1.example.net")
	unusable := &dane.Answer{Records: []dane.Record{{Usage: 0, Selector: 1, Matching: 1, Data: make([]byte, 32)}}, Names: []string{"mx1.example.net"}}
	for _, tt := range []struct {
		level  TLSLevel
		dane   *dane.Answer
		trust  bool
		script string
		want   string
	}{
		{TLSOpportunistic, nil, false, offer + upgraded, "none"},
		{TLSEncrypt, unusable, false, offer + upgraded, "none"},
		{TLSDomain, nil, true, offer + upgraded, "pkix"},
		{TLSDomain, nil, false, offer, "failed"},
	} {
		n := newNetwork(t)
		n.tls = server(bad)
		if tt.trust {
			n.tls = server(good)
		}
		n.host("192.0.2.1:25", tt.script)
		tr := n.transport()
		tr.TLS.Level, tr.TLSConfig = tt.level, ca.roots()
		dst := to("192.0.2.1:25")
		hosts, _ := dst.Hosts(t.Context())
		hosts[0].DANE = tt.dane
		tr.Send(t.Context(), dst, mail("x\r\n", "b@example.net"))
		c := tr.Counters()
		switch {
		case tt.want == "failed" && c.TLSFailed == 1 && len(c.TLS) == 0:
		case c.TLS[tt.want] != 1 || len(c.TLS) != 1:
			t.Errorf("%v: %v, failed %d; want %s", tt.level, c.TLS, c.TLSFailed, tt.want)
		case c.Durations["handshake"].Count != 1 || c.Replies[ReplyKey{Stage: "starttls", Status: "2"}] != 1:
			t.Errorf("%v: %v", tt.level, c.Durations)
		}
	}
}

// A host cannot add a counter.
func TestCountersAreBounded(t *testing.T) {
	var c transportCounters
	for code := 200; code < 600; code++ {
		for i := range 1000 {
			c.reply(stageMail, reply{code, fmt.Appendf(nil, "%d.%d.%d text", code/100, i, i)})
		}
	}
	if n := len(c.snapshot().Replies); n != classes*(subjects+1) {
		t.Errorf("%d kinds of replies", n)
	}
	if n := testing.AllocsPerRun(100, func() { c.reply(stageRcpt, reply{250, []byte("2.1.5 ok")}) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkCountReply(b *testing.B) {
	var c transportCounters
	r := reply{250, []byte("2.1.5 ok")}
	b.ReportAllocs()
	for b.Loop() {
		c.reply(stageRcpt, r)
	}
}

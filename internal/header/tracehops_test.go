package header_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/header"
)

// The fields of the usual programs.
func TestTraceHopsFields(t *testing.T) {
	for name, c := range map[string]struct{ field, want string }{
		"Bridgehead, Postfix": {"from pc.example.com (pc.example.com [192.0.2.1])\r\n\tby mx.example.net (Postfix) with ESMTPS id 4XyZ\r\n\tfor <bob@example.net>; Sat, 28 Nov 2026 11:00:05 +0100 (CET)",
			"pc.example.com (pc.example.com [192.0.2.1])|mx.example.net|ESMTPS|4XyZ|<bob@example.net>|2026-11-28T10:00:05Z"},
		"Exim": {"from [192.0.2.1] (helo=pc.example.com)\r\n\tby mx.example.net with esmtps  (TLS1.3) tls TLS_AES_256_GCM_SHA384\r\n\t(Exim 4.98)\r\n\t(envelope-from <a@example.com>)\r\n\tid 1tGxyz-000001-2a\r\n\tfor bob@example.net;\r\n\tSat, 28 Nov 2026 10:00:00 +0000",
			"[192.0.2.1] (helo=pc.example.com)|mx.example.net|esmtps|1tGxyz-000001-2a|bob@example.net|2026-11-28T10:00:00Z"},
		"Exchange": {"from EX1.example.com (2001:db8::1) by EX2.example.com\r\n (2001:db8::2) with Microsoft SMTP Server (version=TLS1_2,\r\n cipher=TLS_ECDHE) id 15.1.2507.39; Sat, 28 Nov\r\n 2026 10:00:00 +0000",
			"EX1.example.com (2001:db8::1)|EX2.example.com|Microsoft|15.1.2507.39||2026-11-28T10:00:00Z"},
		"Sendmail, local": {"(from root@localhost) by mx.example.net (8.18.1/8.18.1/Submit) id 4AS; Sat, 28 Nov 2026 10:00:00 GMT",
			"|mx.example.net||4AS||2026-11-28T10:00:00Z"},
		"qmail":           {"(qmail 1234 invoked by uid 1000); 28 Nov 2026 10:00:00 -0000", "|||||2026-11-28T10:00:00Z"},
		"LMTP, no from":   {"by mx.example.net with LMTP id ABC; Sat, 28 Nov 2026 10:00:00 +0000", "|mx.example.net|LMTP|ABC||2026-11-28T10:00:00Z"},
		"a host named by": {"from by (x) by mx.example.net; Sat, 28 Nov 2026 10:00:00 +0000", "by (x)|mx.example.net||||2026-11-28T10:00:00Z"},
		"quoted":          {`from pc by mx for <"a;b c"@example.net>; Sat, 28 Nov 2026 10:00:00 +0000`, `pc|mx|||<"a;b c"@example.net>|2026-11-28T10:00:00Z`},
		"no date":         {"from pc by mx with SMTP", "pc|mx|SMTP|||"},
		"wrong date":      {"from pc by mx; yesterday", "pc|mx||||"},
		"open comment":    {"from pc (x by mx; Sat, 28 Nov 2026 10:00:00 +0000", "pc (x by mx; Sat, 28 Nov 2026 10:00:00 +0000|||||"},
		"empty":           {"", "|||||"},
		"twice":           {"from a by b from c by d; Sat, 28 Nov 2026 10:00:00 +0000", "a|b||||2026-11-28T10:00:00Z"},
	} {
		hops := header.TraceHops([]byte("Subject: x\r\nReceived: " + c.field + "\r\n\r\n"))
		if len(hops) != 1 {
			t.Errorf("%s: %d hops", name, len(hops))
			continue
		}
		h := hops[0]
		at := ""
		if !h.Time.IsZero() {
			at = h.Time.UTC().Format(time.RFC3339)
		}
		if got := strings.Join([]string{h.From, h.By, h.With, h.ID, h.For, at}, "|"); got != c.want {
			t.Errorf("%s:\n%s, want\n%s", name, got, c.want)
		}
	}
}

// The oldest hop is first. A delay is the time between two hops, also if their
// clocks differ.
func TestTraceHopsDelays(t *testing.T) {
	var text strings.Builder
	for _, at := range []string{"10:00:09", "10:00:12", "nonsense", "10:00:01", "10:00:00"} { // the newest first
		fmt.Fprintf(&text, "Received: by mx; Sat, 28 Nov 2026 %s +0000\r\n", at)
	}
	got := ""
	for _, h := range header.TraceHops([]byte(text.String())) {
		got += fmt.Sprint(h.Delay, h.HasDelay, " ")
	}
	if want := "0s false 1s true 0s false 0s false -3s true "; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// A date is one that JSON can represent (RFC 3339), or none: a stranger could
// otherwise make each answer with it fail.
func TestTraceHopsDates(t *testing.T) {
	for date, want := range map[string]string{
		"Sat, 28 Nov 2026 10:00:00 +0100": "2026-11-28T09:00:00Z",
		"Sat, 28 Nov 2026 10:00:00 +2400": "2026-11-27T10:00:00Z",
		"Sat, 28 Nov 2026 10:00:00 -2360": "2026-11-29T10:00:00Z",
		"Fri, 31 Dec 9999 23:59:59 -0100": "0001-01-01T00:00:00Z",
		"Sat, 01 Jan 0000 00:00:00 +0100": "0001-01-01T00:00:00Z",
	} {
		hops := header.TraceHops([]byte("Received: by mx; " + date + "\r\n"))
		got, err := hops[0].Time.MarshalText()
		if err != nil || string(got) != want {
			t.Errorf("%s: %s, %v; want %s", date, got, err, want)
		}
	}
}

// Many or long fields have a bounded result.
func TestTraceHopsIsBounded(t *testing.T) {
	many := strings.Repeat("Received: by mx; Sat, 28 Nov 2026 10:00:00 +0000\r\n", 1000)
	if n := len(header.TraceHops([]byte(many))); n != 100 {
		t.Errorf("%d hops", n)
	}
	long := "Received: from " + strings.Repeat("x", 1<<20) + "\r\n"
	if n := len(header.TraceHops([]byte(long))[0].From); n > 4<<10 {
		t.Errorf("%d bytes", n)
	}
}

func FuzzTraceHops(f *testing.F) {
	f.Add("from pc.example.com (pc.example.com [192.0.2.1]) by mx.example.net (Postfix) with ESMTPS id 4XyZ for <bob@example.net>; Sat, 28 Nov 2026 11:00:05 +0100 (CET)")
	f.Add("from \\\" ; (((; by")
	f.Fuzz(func(t *testing.T, s string) {
		for _, h := range header.TraceHops([]byte("Received: " + s + "\r\nReceived: " + s)) {
			for _, text := range []string{h.From, h.By, h.With, h.ID, h.For} {
				if len(text) > len(s) || strings.ContainsAny(text, "\n") {
					t.Errorf("%q: %q", s, text)
				}
			}
		}
	})
}

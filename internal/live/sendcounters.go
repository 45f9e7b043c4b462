package live

import (
	"maps"

	"github.com/bridgehead-mail/bridgehead/internal/counters"
)

// SendCounters are the statistics of the sending side. The keys of the maps come
// from fixed sets: no host can add one.
type SendCounters struct {
	Connections int64            // that are open now
	Connects    map[string]int64 // attempts to connect by result: "ok", "refused", "timeout", "unreachable", "canceled", "error"
	Sessions    int64            // sessions that were opened: greeting, EHLO, TLS and AUTH succeeded
	Failed      int64            // connections on which no session could be opened
	Messages    int64            // transactions whose end of data got 2xx
	Bytes       int64            // of the content of these messages

	Replies   map[ReplyKey]int64           // by stage and status
	Durations map[string]counters.Snapshot // of the steps, by stage, in seconds

	// TLS has the sessions that were opened, by what proves that the host is the
	// right one: "dane", "sts", "pkix" (a certificate for the name that the
	// policy or the configuration requires), "none" (encrypted, not verified) and
	// "plain" (not encrypted).
	TLS       map[string]int64
	TLSFailed int64 // sessions that failed because of TLS
}

// A ReplyKey is a kind of replies of hosts.
type ReplyKey struct {
	// Stage is the command that was answered: one of Stages.
	Stage string
	// Status is the class of the reply and the subject of its enhanced code
	// (RFC 3463, 2), as in "4.7", or only the class if it has no valid enhanced
	// code, as in "4".
	Status string
}

// Stages are the steps of a session that are counted. "connect", "handshake" (of
// TLS) and "content" (the transfer of the content, without the end of data) have
// durations, and no replies.
var Stages = [...]string{"connect", "greeting", "helo", "starttls", "handshake", "auth", "mail", "rcpt", "data", "content", "end of data", "other"}

// Plus returns the sums.
func (c SendCounters) Plus(d SendCounters) SendCounters { return c.add(d, 1) }

// Minus returns what c counts and d, an earlier state, does not.
func (c SendCounters) Minus(d SendCounters) SendCounters { return c.add(d, -1) }

func (c SendCounters) add(d SendCounters, sign int64) SendCounters {
	c.Connections += sign * d.Connections
	c.Sessions += sign * d.Sessions
	c.Failed += sign * d.Failed
	c.Messages += sign * d.Messages
	c.Bytes += sign * d.Bytes
	c.TLSFailed += sign * d.TLSFailed
	c.Connects = addMap(c.Connects, d.Connects, sign)
	c.Replies = addMap(c.Replies, d.Replies, sign)
	c.TLS = addMap(c.TLS, d.TLS, sign)
	durations := maps.Clone(c.Durations)
	if durations == nil {
		durations = make(map[string]counters.Snapshot)
	}
	for stage, s := range d.Durations {
		if sign > 0 {
			durations[stage] = durations[stage].Plus(s)
		} else {
			durations[stage] = durations[stage].Minus(s)
		}
	}
	c.Durations = durations
	return c
}

func addMap[K comparable](a, b map[K]int64, sign int64) map[K]int64 {
	sum := maps.Clone(a)
	if sum == nil {
		sum = make(map[K]int64)
	}
	for k, n := range b {
		sum[k] += sign * n
	}
	return sum
}

package smtpclient

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/bridgehead-mail/bridgehead/internal/counters"
	"github.com/bridgehead-mail/bridgehead/internal/live"
)

// A stage is a step of a session, an index of live.Stages.
type stage uint8

const (
	stageConnect stage = iota
	stageGreeting
	stageHelo
	stageStartTLS
	stageHandshake
	stageAuth
	stageMail
	stageRcpt
	stageData
	stageContent
	stageEndOfData
	stageOther
	stages
)

// stageOf returns the stage of a phase, the name of a command in errors.
func stageOf(phase string) stage {
	switch phase {
	case "greeting":
		return stageGreeting
	case "EHLO", "HELO", "LHLO":
		return stageHelo
	case "STARTTLS":
		return stageStartTLS
	case "MAIL":
		return stageMail
	case "RCPT":
		return stageRcpt
	case "DATA", "BDAT":
		return stageData
	case "data":
		return stageContent
	case "end of data":
		return stageEndOfData
	}
	if strings.HasPrefix(phase, "AUTH") {
		return stageAuth
	}
	return stageOther
}

// state returns the state of a session that waits in this stage. empty means that
// the state does not change.
func (s stage) state() string {
	return [stages]string{
		stageGreeting: live.StateConnect, stageHelo: live.StateHelo, stageStartTLS: live.StateTLS,
		stageHandshake: live.StateTLS, stageAuth: live.StateAuth, stageMail: live.StateMail, stageRcpt: live.StateRcpt,
		stageData: live.StateData, stageContent: live.StateData, stageEndOfData: live.StateEndOfData,
	}[s]
}

// Kinds of results of connecting, in the order of their names in connectResults.
const (
	connectOK = iota
	connectRefused
	connectTimeout
	connectUnreachable
	connectCanceled
	connectError
)

var connectResults = [...]string{"ok", "refused", "timeout", "unreachable", "canceled", "error"}

func connectResult(err error) int {
	switch {
	case err == nil:
		return connectOK
	case errors.Is(err, syscall.ECONNREFUSED):
		return connectRefused
	case errors.Is(err, context.Canceled):
		return connectCanceled
	case errors.Is(err, errConnectTimeout), errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, syscall.ETIMEDOUT), errors.Is(err, context.DeadlineExceeded):
		return connectTimeout
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH):
		return connectUnreachable
	}
	return connectError
}

// What proves the identity of a host, in the order of the names in proofs.
const (
	proofDANE = iota
	proofSTS
	proofPKIX
	proofNone
	proofPlain
)

var proofs = [...]string{"dane", "sts", "pkix", "none", "plain"}

// proof returns what has proved the identity of the host of an open session.
func (s *security) proof(c *Client) int {
	switch {
	case c.tls == nil:
		return proofPlain
	case s.policy == policyDANE && s.verify != nil:
		return proofDANE
	case s.policy == policySTS:
		return proofSTS
	case s.verify != nil:
		return proofPKIX
	}
	return proofNone
}

const (
	classes  = 4 // of replies: 2yz to 5yz
	subjects = 8 // of enhanced codes: X.0 to X.7 (RFC 3463, 2)
)

// transportCounters are the Counters of a Transport.
type transportCounters struct {
	connects                                    [len(connectResults)]atomic.Int64
	sessions, failed, tlsFailed, messages, size atomic.Int64
	tls                                         [len(proofs)]atomic.Int64
	replies                                     [stages][classes][subjects + 1]atomic.Int64 // the last: without an enhanced code
	durations                                   [stages]counters.Histogram
}

// reply counts a reply.
func (c *transportCounters) reply(s stage, r reply) {
	class := r.code/100 - 2
	if class < 0 || class >= classes {
		return
	}
	subject := subjects
	if e, _, ok := enhancedCode(r.code, r.text); ok && e[1] < subjects {
		subject = e[1]
	}
	c.replies[s][class][subject].Add(1)
}

// snapshot returns the counters that are not 0.
func (c *transportCounters) snapshot() Counters {
	r := Counters{
		Connects: make(map[string]int64), TLS: make(map[string]int64),
		Replies: make(map[live.ReplyKey]int64), Durations: make(map[string]counters.Snapshot),
		Sessions: c.sessions.Load(), Failed: c.failed.Load(), TLSFailed: c.tlsFailed.Load(),
		Messages: c.messages.Load(), Bytes: c.size.Load(),
	}
	for i := range c.connects {
		if n := c.connects[i].Load(); n > 0 {
			r.Connects[connectResults[i]] = n
		}
	}
	for i := range c.tls {
		if n := c.tls[i].Load(); n > 0 {
			r.TLS[proofs[i]] = n
		}
	}
	for s := range c.replies {
		if d := c.durations[s].Snapshot(); d.Count > 0 {
			r.Durations[live.Stages[s]] = d
		}
		c.addReplies(stage(s), r.Replies)
	}
	return r
}

func (c *transportCounters) addReplies(s stage, to map[live.ReplyKey]int64) {
	for class := range c.replies[s] {
		for subject := range c.replies[s][class] {
			n := c.replies[s][class][subject].Load()
			if n == 0 {
				continue
			}
			status := string(rune('2' + class))
			if subject < subjects {
				status += "." + string(rune('0'+subject))
			}
			to[live.ReplyKey{Stage: live.Stages[s], Status: status}] = n
		}
	}
}

package antispam

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"time"

	"github.com/bridgehead-mail/bridgehead/examples/internal/program"
	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/policy/filter/content"
	"github.com/bridgehead-mail/bridgehead/policy/filter/milter"
	"github.com/bridgehead-mail/bridgehead/policy/filter/scan"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// maxMilters is the largest number of milters. Each has a connection for each session.
const maxMilters = 16

// miltersAgents returns the milters.
func (f *Filters) miltersAgents(k *program.Kit) (agents []smtpserver.Agent) {
	f.count(k, "milters", len(f.milters.All), maxMilters)
	seen := make(map[string]bool)
	for i, one := range f.milters.All {
		setting := fmt.Sprintf("milters[%d]", i)
		address, down := one.Get("address"), word{known: downWords}
		f.fault(k, setting+".address", checkAddress(address))
		if one.Has("down") {
			f.fault(k, setting+".down", down.Set(one.Get("down")))
		}
		if seen[address] {
			f.fault(k, setting+".address", fmt.Errorf("%s is there twice", address))
		}
		seen[address] = true
		agents = append(agents, f.milter(k, setting, "", address, down.changed(), f.milterTimeout(k, setting, one)))
	}
	return agents
}

// milterTimeout returns the time-out of a milter; 0 for the default.
func (f *Filters) milterTimeout(k *program.Kit, setting string, one program.Record) time.Duration {
	if !one.Has("timeout") {
		return 0
	}
	d, err := time.ParseDuration(one.Get("timeout"))
	if err != nil || d == 0 {
		f.fault(k, setting+".timeout", fmt.Errorf("%q is not a time such as 90s", one.Get("timeout")))
		return 0
	}
	f.time(k, setting+".timeout", d, minTimeout, maxTimeout)
	return d
}

// Limits of the time-outs. A client waits 10 minutes for the reply to the end of data (RFC
// 5321, 4.5.3.2.6).
const (
	minTimeout = time.Second
	maxTimeout = 9 * time.Minute
)

func (f *Filters) milter(k *program.Kit, setting, name, address string, pass bool, timeout time.Duration) smtpserver.Agent {
	c := &milter.Client{Name: name, Address: address, Quarantine: f.quarantine, PassWhenDown: pass, ContentTimeout: timeout}
	if timeout < 30*time.Second { // the default of the others; 0 is the default
		c.ConnectTimeout, c.CommandTimeout = timeout, timeout
	}
	if f.validQuarantine() == nil {
		f.fault(k, setting, c.Validate())
	}
	return c.Agent()
}

// spamAgents returns the spam scanners.
func (f *Filters) spamAgents(k *program.Kit) (agents []smtpserver.Agent) {
	s := &f.scan
	pass := s.spamDown.changed()
	f.time(k, "scan.spam-timeout", s.spamTimeout, minTimeout, maxTimeout)
	if s.rspamd != "" {
		f.fault(k, "scan.rspamd", checkAddress(s.rspamd))
		agents = append(agents, f.milter(k, "scan.rspamd", "rspamd", s.rspamd, pass, s.spamTimeout))
	}
	if s.spamassassin != "" {
		f.fault(k, "scan.spamassassin", checkAddress(s.spamassassin))
		c := &scan.Spamd{Address: s.spamassassin, MaxSize: int64(s.spamMaxSize), PassWhenDown: pass, Timeout: s.spamTimeout}
		agents = append(agents, c.Agent())
	}
	f.needs(k, len(agents) == 0 && pass, "scan.spam-down", "a spam scanner")
	f.needs(k, len(agents) == 0 && s.spamTimeout != 0, "scan.spam-timeout", "a spam scanner")
	f.needs(k, s.spamassassin == "" && s.spamMaxSize != 0, "scan.spam-max-size", f.prefix+"scan.spamassassin")
	return agents
}

// virusAgents returns the virus scanner.
func (f *Filters) virusAgents(k *program.Kit) []smtpserver.Agent {
	s := &f.scan
	if s.clamd == "" {
		for setting, set := range map[string]bool{"scan.virus-down": s.virusDown.changed(), "scan.virus-max-size": s.virusMaxSize != 0, "scan.virus-timeout": s.virusTimeout != 0, "scan.virus-oversize": s.virusOversize.changed(), "scan.virus-outgoing": s.virusOutgoing} {
			f.needs(k, set, setting, f.prefix+"scan.clamd")
		}
		return nil
	}
	f.fault(k, "scan.clamd", checkAddress(s.clamd))
	f.time(k, "scan.virus-timeout", s.virusTimeout, minTimeout, maxTimeout)
	c := &scan.Clamd{Address: s.clamd, MaxSize: int64(s.virusMaxSize), PassOversize: s.virusOversize.changed(), PassWhenDown: s.virusDown.changed(), Timeout: s.virusTimeout}
	return []smtpserver.Agent{c.Agent()}
}

// sizeWarning returns a warning if the gateway announces a larger size than the virus
// scanner can scan; "" if it does not.
func (f *Filters) sizeWarning(k *program.Kit) string {
	s := &f.scan
	scanned, size := cmp.Or(s.virusMaxSize, 25<<20), cmp.Or(k.MaxSize, 36<<20) // the defaults of the library
	if s.clamd == "" || s.virusOversize.changed() || size <= scanned {
		return ""
	}
	return fmt.Sprintf("%sscan.virus-max-size is %s and max-size is %s: clients may send larger messages than clamd scans, and they are refused with 552", f.prefix, &scanned, &size)
}

// checkAddress checks the address of a scanner or milter.
func checkAddress(address string) error {
	if filepath.IsAbs(address) {
		return nil
	}
	_, port, err := net.SplitHostPort(address)
	if n, e := strconv.ParseUint(port, 10, 16); err != nil || e != nil || n == 0 {
		return fmt.Errorf("%q is neither an address with a port, as 127.0.0.1:783, nor the full path of a Unix socket", address)
	}
	return nil
}

// levelAgents returns the agents that act on the spam confidence level. Mail that is
// probably spam makes the reputation of the client worse, also if it is accepted.
func (f *Filters) levelAgents(k *program.Kit, reputation *policy.Reputation) (agents []smtpserver.Agent) {
	s := &f.scan
	f.fault(k, "quarantine", f.validQuarantine())
	for setting, level := range map[string]int{"scan.mark-level": s.markLevel, "scan.quarantine-level": s.quarantineLevel, "scan.reject-level": s.rejectLevel} {
		f.number(k, setting, level, 1, content.Spam)
		f.needs(k, level != 0 && s.spamassassin == "" && f.rules == "", setting, f.prefix+"scan.spamassassin or a rule with set-level, because rspamd has its own levels")
		f.needs(k, level != 0 && setting != "scan.reject-level" && s.rejectLevel != 0 && level >= s.rejectLevel, setting, "a level below "+f.prefix+"scan.reject-level")
	}
	f.needs(k, s.markSubject != "" && s.markLevel == 0, "scan.mark-subject", f.prefix+"scan.mark-level")
	f.needs(k, s.quarantineLevel != 0 && f.quarantine == "", "scan.quarantine-level", f.prefix+"quarantine")
	if f.quarantine != "" && s.quarantineLevel == 0 && s.rspamd == "" && len(f.milters.All) == 0 {
		f.fault(k, "quarantine", errors.New("has no effect: no milter and no quarantine-level is set"))
	}
	if s.spamassassin == "" && f.rules == "" {
		return nil
	}
	if reputation != nil {
		agents = append(agents, spamReputation(reputation))
	}
	c := &content.Filter{Reject: s.rejectLevel, Quarantine: s.quarantineLevel, QuarantineTo: f.quarantine, Mark: s.markLevel, Subject: s.markSubject}
	if !k.Failed() {
		f.fault(k, "scan.mark-subject", c.Validate()) // the rest has been checked
	}
	return append(agents, c.Agent())
}

// validQuarantine checks the quarantine address.
func (f *Filters) validQuarantine() error {
	if f.quarantine == "" {
		return nil
	}
	if err := (&milter.Client{Address: "/", Quarantine: f.quarantine}).Validate(); err != nil {
		return fmt.Errorf("%q is not an address: %w", f.quarantine, errors.Unwrap(err))
	}
	return nil
}

// probablySpam is the level of mail with SpamAssassin's required_score.
const probablySpam = 5

// spamReputation counts mail that is probably spam.
func spamReputation(r *policy.Reputation) smtpserver.Agent {
	return smtpserver.Agent{Name: "spam reputation", EndOfData: func(ctx context.Context, s *smtpserver.Session, _ *smtpserver.Message) error {
		if rating, ok := content.RatingOf(s); ok && rating.Level >= probablySpam {
			r.Spam(ctx, s)
		}
		return nil
	}}
}

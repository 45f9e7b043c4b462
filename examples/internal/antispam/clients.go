package antispam

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bridgehead-mail/bridgehead/examples/internal/program"
	"github.com/bridgehead-mail/bridgehead/policy"
)

const day = 24 * time.Hour

// addClients adds the filters that observe clients, and their state.
func (f *Filters) addClients(k *program.Kit, g *policy.Gate, r *program.Rules) {
	f.exempted(k, g)
	g.Tarpit = f.tarpitAgent(k)
	s := program.Keep[state](k, "antispam "+f.prefix)
	if f.state == "" {
		f.state = filepath.Join(k.State, strings.Trim(f.prefix, "."))
	}
	if info, err := os.Stat(f.state); err == nil && !info.IsDir() {
		f.fault(k, "state", fmt.Errorf("%s is not a folder", f.state))
	}
	settings, greylist := f.greylistOf(k)
	g.Greylist = s.greylist.use(settings, greylist)
	settings, reputation := f.reputationOf(k)
	g.Reputation = s.reputation.use(settings, reputation)
	settings, rates := f.ratesOf(k)
	g.Rates = s.rates.use(settings, rates)
	r.Parts = append(r.Parts, s)
	r.Tasks = append(r.Tasks, s.run)
	r.Closers = append(r.Closers, s)
	dir, log := f.state, k.Logger
	r.Applied = append(r.Applied, func() { s.apply(dir, log) })
}

// exempted gives the clients of the setting exempt the right to bypass the filters for
// spam.
func (f *Filters) exempted(k *program.Kit, g *policy.Gate) {
	if len(f.exempt) == 0 {
		return
	}
	f.count(k, "exempt", len(f.exempt), 10_000)
	for _, n := range f.exempt {
		if n.Bits() == 0 {
			f.fault(k, "exempt", fmt.Errorf("%s has all clients", n))
		}
	}
	if g.Grants == nil {
		g.Grants = policy.DefaultGrants()
	}
	g.Grants = append(g.Grants, policy.Grant{To: policy.Clients{Networks: f.exempt}, Rights: policy.BypassAntiSpam})
}

// uncounted returns the clients that the greylist, the limits and the reputation do not
// apply to: those of the setting exempt, and the organization's own relays.
func (f *Filters) uncounted(k *program.Kit) *policy.Networks {
	set, err := policy.NewNetworks(slices.Concat(f.exempt, f.Internal)...)
	if err != nil {
		f.fault(k, "exempt", err)
	}
	return set
}

// The functions below return a filter that has not been used yet, and its settings as
// text. The filter is nil if the settings do not request it.

// maxGreylist is the largest number of senders and recipients in the greylist, about
// 30 MB. The default of the library is too large for a small machine.
const maxGreylist = 200_000

func (f *Filters) greylistOf(k *program.Kit) (settings string, _ *policy.Greylist) {
	s := &f.greylist
	f.time(k, "greylist.delay", s.delay, time.Second, day)
	f.time(k, "greylist.window", s.window, time.Minute, 30*day)
	if s.knownAfter != -1 {
		f.number(k, "greylist.known-after", s.knownAfter, 1, 1_000_000)
	}
	if s.delay == 0 {
		f.needs(k, s.window != 0, "greylist.window", f.prefix+"greylist.delay")
		f.needs(k, s.knownAfter != 0, "greylist.known-after", f.prefix+"greylist.delay")
		return "", nil
	}
	g := &policy.Greylist{Delay: s.delay, RetryWindow: s.window, KnownAfter: s.knownAfter, Exempt: f.uncounted(k), Max: maxGreylist}
	if err := g.Validate(); err != nil && !k.Failed() {
		f.fault(k, "greylist.window", fmt.Errorf("%v is not longer than the delay: no retry would be accepted", s.window))
	}
	return fmt.Sprint(*s, f.exempt, f.Internal), g
}

func (f *Filters) reputationOf(k *program.Kit) (settings string, _ *policy.Reputation) {
	s := &f.reputation
	f.number(k, "reputation.block-level", s.blockLevel, 1, 9)
	f.time(k, "reputation.block-time", s.blockTime, time.Second, 365*day)
	f.number(k, "reputation.min-points", s.minPoints, 1, 1_000_000)
	if s.blockLevel == 0 {
		f.needs(k, s.blockTime != 0, "reputation.block-time", f.prefix+"reputation.block-level")
		f.needs(k, s.minPoints != 0, "reputation.min-points", f.prefix+"reputation.block-level")
		return "", nil
	}
	return fmt.Sprint(*s, f.exempt, f.Internal), &policy.Reputation{BlockLevel: s.blockLevel, BlockTime: s.blockTime, MinPoints: s.minPoints, Exempt: f.uncounted(k)}
}

func (f *Filters) tarpitAgent(k *program.Kit) *policy.Tarpit {
	s := &f.tarpit
	// Clients wait five minutes for a reply (RFC 5321, 4.5.3.2).
	f.time(k, "tarpit.delay", s.delay, 10*time.Millisecond, 4*time.Minute)
	f.time(k, "tarpit.max", s.max, 10*time.Millisecond, 4*time.Minute)
	if s.delay == 0 {
		f.needs(k, s.max != 0, "tarpit.max", f.prefix+"tarpit.delay")
		return nil
	}
	longest := s.max
	if longest == 0 {
		longest = max(s.delay, 30*time.Second)
	}
	if s.delay > longest {
		f.fault(k, "tarpit.max", fmt.Errorf("%v is shorter than the delay, which is %v", s.max, s.delay))
	}
	return &policy.Tarpit{Delay: s.delay, Max: longest}
}

// maxRates is the largest number of limits. Each counts up to 100,000 clients.
const maxRates = 20

func (f *Filters) ratesOf(k *program.Kit) (settings string, _ *policy.Rates) {
	f.count(k, "rates", len(f.rates.All), maxRates)
	if len(f.rates.All) == 0 || len(f.rates.All) > maxRates {
		return "", nil
	}
	r := new(policy.Rates)
	seen := make(map[string]bool)
	for i, one := range f.rates.All {
		setting := fmt.Sprintf("rates[%d]", i)
		rate := f.rate(k, setting, one)
		key := fmt.Sprint(rate)
		if seen[key] {
			f.fault(k, setting, errors.New("is there twice"))
		}
		seen[key] = true
		rate.Exempt = f.uncounted(k)
		r.Rates = append(r.Rates, rate)
	}
	return fmt.Sprint(f.rates.String(), f.exempt, f.Internal), r
}

var rateKeys = map[string]policy.RateKey{
	"address": policy.ByAddress, "network": policy.ByNetwork, "sender": policy.BySender, "sender-domain": policy.BySenderDomain,
}

// rate makes a limit of its fields.
func (f *Filters) rate(k *program.Kit, setting string, one program.Record) (r policy.Rate) {
	by, ok := rateKeys[one.Get("by")]
	if !ok {
		f.fault(k, setting+".by", fmt.Errorf("%q is not one of address, network, sender, sender-domain", one.Get("by")))
	}
	r.By = by
	for field, limit := range map[string]*int{"messages": &r.Messages, "recipients": &r.Recipients} {
		if text := one.Get(field); one.Has(field) {
			n, err := strconv.Atoi(text)
			if err != nil || n < 1 || n > 1_000_000_000 {
				f.fault(k, setting+"."+field, fmt.Errorf("%q is not a number from 1 to 1000000000", text))
			}
			*limit = n
		}
	}
	if !one.Has("messages") && !one.Has("recipients") {
		f.fault(k, setting, errors.New("has neither messages nor recipients"))
	}
	per, err := time.ParseDuration(one.Get("per"))
	if err != nil || per < time.Second || per > 30*day {
		f.fault(k, setting+".per", fmt.Errorf("%q is not a time from 1s to 720h", one.Get("per")))
	}
	r.Per = per
	return r
}

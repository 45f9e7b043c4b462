package antispam

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/bridgehead-mail/bridgehead/examples/internal/program"
	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// Add checks the settings, and adds the filters to the gate for mail from the internet
// and to the rules of the gateway. Call it after all other agents of the gate are set, and
// before the gate is installed.
//
// Spam is scanned before anything changes the message, so that signatures are intact.
// Transport rules follow, so that they can use the level, and then the actions by level.
func (f *Filters) Add(k *program.Kit, g *policy.Gate, r *program.Rules) {
	k.Fixed(f.prefix + "state")
	f.addClients(k, g, r)
	g.AntiSpam = append(g.AntiSpam, f.miltersAgents(k)...)
	g.AntiSpam = append(g.AntiSpam, f.spamAgents(k)...)
	f.build(k)
	if text := f.sizeWarning(k); text != "" {
		r.Warnings = append(r.Warnings, text)
	}
	g.Content = slices.Concat(g.Content, f.built.virus, f.built.attachments, f.built.rules, f.levelAgents(k, g.Reputation))
}

// AddRules adds the filters that apply to mail in both directions to the gate for mail of
// the organization: the transport rules and the disclaimer, and the virus scanner and the
// attachment filter if the settings request it. Mail from the internet has them by Add.
func (f *Filters) AddRules(k *program.Kit, g *policy.Gate) {
	f.build(k)
	if f.scan.virusOutgoing {
		g.Content = append(g.Content, f.built.virus...)
	}
	if f.attachments.outgoing {
		g.Content = append(g.Content, f.built.attachments...)
	}
	g.Content = append(g.Content, f.built.rules...)
}

// built are the agents that several gates may use.
type built struct {
	done                      bool
	virus, attachments, rules []smtpserver.Agent
}

// build makes these agents, once.
func (f *Filters) build(k *program.Kit) {
	if !f.built.done {
		f.built = built{true, f.virusAgents(k), f.attachmentAgents(k), f.rulesAgents(k)}
	}
}

// fault reports that a setting is wrong. The prefixes of the library in the error are
// the names of its types, which an administrator does not know.
func (f *Filters) fault(k *program.Kit, setting string, err error) {
	if err == nil {
		return
	}
	text := err.Error()
	for _, own := range []string{"scan: ", "milter: ", "content: ", "rules: ", "policy: ", "Attachments.Names: ", "Attachments.Types: ", "Filter.", "From: ", "To: "} {
		text = strings.TrimPrefix(text, own)
	}
	k.Fault(f.prefix+setting, errors.New(text))
}

// each checks the values of a setting with several values.
func (f *Filters) each(k *program.Kit, setting string, values []string, check func(value string) error) {
	f.count(k, setting, len(values), maxValues)
	for i, v := range values {
		f.fault(k, fmt.Sprintf("%s[%d]", setting, i), check(v))
	}
}

// maxValues is the largest number of values of a setting with patterns or addresses.
const maxValues = 1000

// needs reports a setting that has no effect, because another one is not set.
func (f *Filters) needs(k *program.Kit, set bool, setting, other string) {
	if set {
		f.fault(k, setting, fmt.Errorf("has no effect without %s", other))
	}
}

// number reports a number that is set and out of its range.
func (f *Filters) number(k *program.Kit, setting string, n, least, most int) {
	if n != 0 && (n < least || n > most) {
		f.fault(k, setting, fmt.Errorf("%d is not from %d to %d", n, least, most))
	}
}

// time reports a time that is set and out of its range.
func (f *Filters) time(k *program.Kit, setting string, d, least, most time.Duration) {
	if d != 0 && (d < least || d > most) {
		f.fault(k, setting, fmt.Errorf("%v is not from %v to %v", d, least, most))
	}
}

// count reports a list that is too long.
func (f *Filters) count(k *program.Kit, setting string, n, most int) {
	if n > most {
		f.fault(k, setting, fmt.Errorf("has %d values, more than %d", n, most))
	}
}

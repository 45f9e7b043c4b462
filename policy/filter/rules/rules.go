package rules

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/policy/internal/mimetree"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// MaxRules is the most rules that Rules may have, and the most conditions and
// actions that one of them may.
const MaxRules = 1000

// Rules are transport rules, applied in their order to each message. They
// must not change once they are in use.
type Rules struct {
	List []Rule
	// AllowUnclear applies the rules to a message by what is read here, where
	// conditions on text and attachments would refuse it because other programs
	// may read it differently (two boundaries, a Content- field that is folded
	// before its colon, ...).
	AllowUnclear bool
	// Tracking writes down what each rule did. nil writes nothing.
	Tracking *Tracking
	// Logger hears of rules that could not be applied; nil is silent.
	Logger *slog.Logger
}

// A Rule does something with the messages that meet its conditions.
//
// Some conditions are about a recipient. Then the rule holds for those
// recipients that meet all of them: actions on recipients ([Redirect],
// [Drop]) concern only these, actions on the message concern it as a whole,
// which all recipients share.
type Rule struct {
	Name string
	// If has the conditions that must all be met; a rule without any holds
	// for every message.
	If []Condition
	// Unless has the exceptions: the rule does not hold where one is met.
	Unless []Condition
	// Then has the actions, in their order.
	Then []Action
	// Stop ends the list where the rule held.
	Stop bool
	// Disabled leaves the rule out.
	Disabled bool
}

// Validate says which rule is wrong, and what in it.
func (r *Rules) Validate() error {
	if len(r.List) > MaxRules {
		return fmt.Errorf("rules: %d rules, more than %d", len(r.List), MaxRules)
	}
	names := make(map[string]bool)
	for i, rule := range r.List {
		if err := rule.validate(); err != nil {
			return fmt.Errorf("rules: rule %d (%s): %w", i+1, rule.Name, err)
		}
		if names[rule.Name] {
			return fmt.Errorf("rules: two rules have the name %q", rule.Name)
		}
		names[rule.Name] = true
	}
	if r.Tracking != nil {
		return r.Tracking.validate()
	}
	return nil
}

func (r *Rule) validate() error {
	if r.Name == "" {
		return errors.New("it has no name")
	}
	if len(r.Then) == 0 {
		return errors.New("it has no action")
	}
	if len(r.If)+len(r.Unless)+len(r.Then) > MaxRules {
		return fmt.Errorf("more than %d conditions and actions", MaxRules)
	}
	for _, c := range append(append([]Condition{}, r.If...), r.Unless...) {
		if c.err != nil {
			return c.err
		}
		if c.match == nil {
			return errors.New("an empty Condition")
		}
	}
	for _, a := range r.Then {
		if a.err != nil {
			return a.err
		}
		if a.apply == nil {
			return errors.New("an empty Action")
		}
	}
	return nil
}

// Agent applies the rules at the end of data. A rule that cannot be applied
// is an error, for the client a 451: no rule is passed over in silence. A message
// that is too complex to be looked into, which it will be the next time too, is
// refused with 554 5.6.0; one that other programs may read differently, and that
// a rule must look into, with 550 5.6.0 unless AllowUnclear is set.
func (r *Rules) Agent() smtpserver.Agent {
	invalid := r.Validate()
	return smtpserver.Agent{Name: "transport rules", EndOfData: func(ctx context.Context, s *smtpserver.Session, m *smtpserver.Message) error {
		if invalid != nil {
			return invalid
		}
		return r.apply(&Mail{Session: s, Message: m, ctx: ctx, allowUnclear: r.AllowUnclear})
	}}
}

func (r *Rules) apply(m *Mail) error {
	for i := range r.List {
		rule := &r.List[i]
		if rule.Disabled {
			continue
		}
		held, err := r.one(rule, m)
		if err != nil {
			return err
		}
		if len(m.Message.Recipients) == 0 {
			return smtpserver.ErrDiscard
		}
		if held && rule.Stop {
			break
		}
	}
	return nil
}

// one applies one rule and says whether it held.
func (r *Rules) one(rule *Rule, m *Mail) (bool, error) {
	from := m.Message.From
	matched, rest, err := rule.match(m)
	if err != nil {
		return false, r.failed(rule, m, err)
	}
	r.track(m, from, rule, nil, rest)
	if len(matched) == 0 {
		return false, nil
	}
	for i := range rule.Then {
		a := &rule.Then[i]
		err := a.apply(m, matched)
		m.changed()
		var reply *smtp.SMTPError
		if err != nil && !errors.As(err, &reply) {
			return false, r.failed(rule, m, err)
		}
		r.track(m, from, rule, a, matched)
		if err != nil {
			return true, err
		}
	}
	return true, nil
}

func (r *Rules) failed(rule *Rule, m *Mail, err error) error {
	var reply *smtp.SMTPError
	if errors.As(err, &reply) { // the message is to blame
		return reply
	}
	if r.Logger != nil {
		r.Logger.Error("transport rule failed", slog.String("rule", rule.Name), slog.String("message", m.Message.ID), slog.Any("error", err))
	}
	if errors.Is(err, mimetree.ErrLimit) {
		return errComplex
	}
	return fmt.Errorf("rules: rule %q: %w", rule.Name, err)
}

var errComplex = &smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 6, 0}, Message: "Message has too many parts to be looked into"}

// match parts the recipients into those for whom the rule holds and the rest.
func (r *Rule) match(m *Mail) (matched, rest []string, err error) {
	// What is about the message as a whole is asked once.
	whole := true
	for _, c := range r.If {
		if whole && !c.perRecipient {
			if whole, err = c.match(m, ""); err != nil {
				return nil, nil, err
			}
		}
	}
	for _, c := range r.Unless {
		if whole && !c.perRecipient {
			var met bool
			if met, err = c.match(m, ""); err != nil {
				return nil, nil, err
			}
			whole = !met
		}
	}
	for i := range m.Message.Recipients {
		to := m.Message.Recipients[i].Addr
		held := whole
		if held {
			if held, err = r.matchRecipient(m, to); err != nil {
				return nil, nil, err
			}
		}
		if held {
			matched = append(matched, to)
		} else {
			rest = append(rest, to)
		}
	}
	return matched, rest, nil
}

func (r *Rule) matchRecipient(m *Mail, to string) (bool, error) {
	for _, c := range r.If {
		if c.perRecipient {
			if met, err := c.match(m, to); err != nil || !met {
				return false, err
			}
		}
	}
	for _, c := range r.Unless {
		if c.perRecipient {
			if met, err := c.match(m, to); err != nil || met {
				return false, err
			}
		}
	}
	return true, nil
}

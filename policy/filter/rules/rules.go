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

// MaxRules is the largest number of rules in Rules.List, and the largest number
// of conditions and actions, together, in one rule.
const MaxRules = 1000

// Rules are transport rules. They are applied to each message in their order.
// The fields must not change after Agent was called.
type Rules struct {
	// List has the rules.
	List []Rule
	// AllowAmbiguous accepts messages that other programs may read differently,
	// for example because of two boundaries or a Content- field that is folded
	// before its colon. Conditions on text and attachments then use the text
	// and attachments that this package reads. Otherwise they refuse such a
	// message with 550 5.6.0.
	AllowAmbiguous bool
	// Tracking logs the effects of each rule. If it is nil, nothing is logged.
	Tracking *Tracking
	// Logger logs rules that could not be applied. Default: that of the
	// gateway.Gateway. If there is none, nothing is logged.
	Logger *slog.Logger
}

// A Rule applies its actions to the messages that meet its conditions.
//
// Some conditions are about a recipient ([To], [RecipientFunc]). A rule with
// such conditions applies to the recipients that meet all of them, if there are
// any. Actions on recipients ([Redirect], [Drop]) then affect only these
// recipients. Actions on the message affect all recipients, because they share
// the message.
type Rule struct {
	// Name is the name in logs and errors. It is required and must be unique.
	Name string
	// If has the conditions, which must all be met. A rule without conditions
	// applies to every message.
	If []Condition
	// Unless has the exceptions. The rule does not apply if one of them is
	// met.
	Unless []Condition
	// Then has the actions, in their order. At least one is required.
	Then []Action
	// Stop skips the rules after this one if this rule applies.
	Stop bool
	// Disabled skips the rule.
	Disabled bool
}

// Validate returns an error that names the first rule that is wrong, and the
// reason.
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
		return errors.New("the rule has no name")
	}
	if len(r.Then) == 0 {
		return errors.New("the rule has no action")
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

// Inherit sets Logger if it is not set. The server calls it: see
// smtpserver.Agent.Inherit.
func (r *Rules) Inherit(d smtpserver.Defaults) { d.Fill(nil, &r.Logger) }

// Agent returns an agent that applies the rules at the end of data. If a rule
// cannot be applied, the client gets a 451; no rule is skipped silently. Some
// rules must read the parts of a message. If the message then has too many
// parts, it is refused with 554 5.6.0. If other programs may read the message
// differently, it is refused with 550 5.6.0 (see AllowAmbiguous). If Validate
// fails, every message gets a 451.
func (r *Rules) Agent() smtpserver.Agent {
	invalid := r.Validate()
	return smtpserver.Agent{Name: "transport rules", Inherit: r.Inherit, EndOfData: func(ctx context.Context, s *smtpserver.Session, m *smtpserver.Message) error {
		if invalid != nil {
			return invalid
		}
		mail := newMail(ctx, s, m, r.AllowAmbiguous)
		defer mail.release()
		return r.apply(mail)
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

// one applies one rule and reports whether it applied to a recipient.
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
	if errors.As(err, &reply) { // the message is refused
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

var errComplex = &smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 6, 0}, Message: "Message has too many parts to be checked"}

// match divides the recipients into those that the rule applies to and the rest.
func (r *Rule) match(m *Mail) (matched, rest []string, err error) {
	// Conditions about the message are evaluated once.
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
	if !whole {
		return nil, m.recipients(), nil
	}
	for i := range m.Message.Recipients {
		to := m.Message.Recipients[i].Addr
		held, err := r.matchRecipient(m, to)
		if err != nil {
			return nil, nil, err
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

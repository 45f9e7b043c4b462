package antispam

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/bridgehead-mail/bridgehead/examples/internal/program"
	"github.com/bridgehead-mail/bridgehead/policy/filter/content"
	"github.com/bridgehead-mail/bridgehead/policy/filter/rules"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// attachmentAgents returns the attachment filter.
func (f *Filters) attachmentAgents(k *program.Kit) []smtpserver.Agent {
	a := &f.attachments
	if len(a.names) == 0 && len(a.types) == 0 {
		f.needs(k, a.action.changed(), "attachments.action", f.prefix+"attachments.names or types")
		f.needs(k, a.unreadable.changed(), "attachments.unreadable", f.prefix+"attachments.names or types")
		f.needs(k, a.outgoing, "attachments.outgoing", f.prefix+"attachments.names or types")
		return nil
	}
	f.each(k, "attachments.names", a.names, func(p string) error { return (&content.Attachments{Names: []string{p}}).Validate() })
	f.each(k, "attachments.types", a.types, func(p string) error { return (&content.Attachments{Types: []string{p}}).Validate() })
	c := &content.Attachments{Names: a.names, Types: a.types, Strip: a.action.changed(), AllowUnreadable: a.unreadable.changed()}
	return []smtpserver.Agent{c.Agent()}
}

// rulesAgents returns the transport rules and the disclaimer.
func (f *Filters) rulesAgents(k *program.Kit) []smtpserver.Agent {
	r := &rules.Rules{}
	if f.rules != "" {
		list, err := parseRules(f.rules, string(k.ReadFile(f.prefix+"rules", f.rules)))
		f.fault(k, "rules", err)
		r.List = list
	}
	if d := f.disclaimerRule(k); d != nil {
		r.List = append(r.List, *d)
	}
	if len(r.List) == 0 {
		return nil
	}
	return []smtpserver.Agent{r.Agent()}
}

// maxDisclaimer is the largest size of a disclaimer, in bytes.
const maxDisclaimer = 64 << 10

// disclaimerRule returns the rule that adds the disclaimer; nil if there is none.
func (f *Filters) disclaimerRule(k *program.Kit) *rules.Rule {
	d := &f.disclaimer
	if d.text == "" {
		for setting, set := range map[string]bool{"disclaimer.html": d.html != "", "disclaimer.from": len(d.from) > 0, "disclaimer.to": len(d.to) > 0} {
			f.needs(k, set, setting, f.prefix+"disclaimer.text")
		}
		return nil
	}
	rule := &rules.Rule{Name: "disclaimer", Then: []rules.Action{rules.Disclaimer(f.text(k, "disclaimer.text", d.text), f.text(k, "disclaimer.html", d.html))}}
	for setting, list := range map[string]program.List{"disclaimer.from": d.from, "disclaimer.to": d.to} {
		if len(list) == 0 {
			continue
		}
		is := rules.From
		if setting == "disclaimer.to" {
			is = rules.To
		}
		f.each(k, setting, list, func(p string) error { return check(rules.Rule{If: []rules.Condition{is(p)}}) })
		rule.If = append(rule.If, is(list...))
	}
	if len(rule.If) == 0 {
		f.fault(k, "disclaimer.text", fmt.Errorf("needs %sdisclaimer.from or %sdisclaimer.to: not all mail in both directions gets it", f.prefix, f.prefix))
	}
	return rule
}

// text reads a file with a text of a disclaimer.
func (f *Filters) text(k *program.Kit, setting, path string) string {
	text := k.ReadFile(f.prefix+setting, path)
	switch {
	case path == "" || text == nil: // ReadFile has reported it
	case len(text) > maxDisclaimer:
		f.fault(k, setting, errors.New(path+" is longer than 64 KiB"))
	case !utf8.Valid(text) || bytes.IndexByte(text, 0) >= 0:
		f.fault(k, setting, errors.New(path+" is not text in UTF-8"))
	case strings.TrimSpace(string(text)) == "":
		f.fault(k, setting, errors.New(path+" is empty"))
	}
	return string(text)
}

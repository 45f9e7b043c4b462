package antispam

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/bridgehead-mail/bridgehead/examples/internal/program"
	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/policy/filter/rules"
)

// parseRules parses a file with transport rules. doc.go describes it. An error names the
// file and the line.
func parseRules(path, text string) (list []rules.Rule, err error) {
	var errs []error
	fault := func(line int, err error) {
		if err != nil && len(errs) < 20 {
			errs = append(errs, fmt.Errorf("%s:%d: %w", path, line, err))
		}
	}
	if !utf8.ValidString(text) {
		return nil, errors.New(path + ": is not text in UTF-8")
	}
	n, began := 0, 0
	names := make(map[string]int)
	finished := func() {
		if len(list) > 0 && len(list[len(list)-1].Then) == 0 {
			fault(began, fmt.Errorf("the rule %q has no action", list[len(list)-1].Name))
		}
	}
	for line := range strings.Lines(text) {
		n++
		args, err := split(line)
		switch {
		case err != nil:
			fault(n, err)
		case len(args) == 0:
		case args[0] == "rule":
			finished()
			name := strings.Join(args[1:], " ")
			switch first := names[name]; {
			case name == "":
				fault(n, errors.New("the rule has no name"))
			case first > 0:
				fault(n, fmt.Errorf("another rule has the name %q, in line %d", name, first))
			case len(list) == rules.MaxRules:
				fault(n, fmt.Errorf("more than %d rules", rules.MaxRules))
				return nil, errors.Join(errs...)
			}
			names[name], began = n, n
			list = append(list, rules.Rule{Name: name})
		case len(list) == 0:
			fault(n, errors.New(`the first line must begin a rule, as "rule no lottery"`))
		default:
			fault(n, addLine(&list[len(list)-1], args))
		}
	}
	finished()
	if len(list) == 0 && len(errs) == 0 {
		return nil, errors.New(path + ": has no rule")
	}
	return list, errors.Join(errs...)
}

// split splits a line into words. A word in double quotes may have spaces and the
// escapes of Go and C. A # at the beginning of a word begins a comment.
func split(line string) (words []string, err error) {
	for line = strings.TrimSpace(line); line != "" && line[0] != '#'; line = strings.TrimSpace(line) {
		if line[0] != '"' {
			end := strings.IndexAny(line, " \t\r\n")
			if end < 0 {
				end = len(line)
			}
			words = append(words, line[:end])
			line = line[end:]
			continue
		}
		quoted, err := strconv.QuotedPrefix(line)
		if err != nil {
			return nil, errors.New("a quoted word has no end, or an unknown escape")
		}
		word, err := strconv.Unquote(quoted)
		if err != nil {
			return nil, fmt.Errorf("%s is not a quoted word", quoted)
		}
		words = append(words, word)
		line = line[len(quoted):]
		if line != "" && !strings.ContainsRune(" \t\r\n", rune(line[0])) {
			return nil, fmt.Errorf("no space after %s", quoted)
		}
	}
	return words, nil
}

// addLine adds a line to its rule.
func addLine(r *rules.Rule, args []string) error {
	if len(r.If)+len(r.Unless)+len(r.Then) == rules.MaxRules {
		return fmt.Errorf("the rule has more than %d lines", rules.MaxRules)
	}
	switch word := args[0]; {
	case word == "stop" && len(args) == 1:
		r.Stop = true
	case word == "disabled" && len(args) == 1:
		r.Disabled = true
	case len(args) == 1 || word != "if" && word != "unless" && word != "then":
		return fmt.Errorf("%q does not begin a line of a rule: if, unless or then with more words, stop, disabled", strings.Join(args, " "))
	case word == "then":
		a, err := action(args[1], args[2:])
		if err != nil {
			return err
		}
		r.Then = append(r.Then, a)
		return check(rules.Rule{Then: []rules.Action{a}})
	default:
		c, err := condition(args[1], args[2:])
		if err != nil {
			return err
		}
		if err := check(rules.Rule{If: []rules.Condition{c}}); err != nil {
			return err
		}
		if word == "unless" {
			r.Unless = append(r.Unless, c)
		} else {
			r.If = append(r.If, c)
		}
	}
	return nil
}

// check returns the error of the conditions and actions of a rule.
func check(r rules.Rule) error {
	const name = "x"
	r.Name = name
	if len(r.Then) == 0 {
		r.Then = []rules.Action{rules.Drop()}
	}
	err := (&rules.Rules{List: []rules.Rule{r}}).Validate()
	if err == nil {
		return nil
	}
	return errors.New(strings.TrimPrefix(err.Error(), "rules: rule 1 ("+name+"): "))
}

// condition makes a condition of its name and its arguments.
func condition(name string, args []string) (c rules.Condition, err error) {
	if name == "not" {
		if len(args) == 0 {
			return c, errors.New("no condition after not")
		}
		if c, err = condition(args[0], args[1:]); err == nil {
			c = rules.Not(c)
		}
		return c, err
	}
	list := map[string]func(...string) rules.Condition{
		"from": rules.From, "to": rules.To, "subject": rules.Subject, "body": rules.Body, "attachment": rules.Attachment,
	}[name]
	switch {
	case list != nil && (len(args) > 0 || name == "attachment"):
		return list(args...), nil
	case name == "header" && len(args) == 2:
		return rules.Header(args[0], args[1]), nil
	case name == "larger-than" && len(args) == 1:
		var n program.Size
		if err := n.Set(args[0]); err != nil {
			return c, err
		}
		return rules.LargerThan(int64(n)), nil
	case name == "level" && len(args) == 1:
		n, err := level(args[0])
		return rules.SCL(n), err
	case name == "client" && len(args) > 0:
		networks, err := networks(args)
		return rules.Client(networks...), err
	case name == "authenticated" && len(args) == 0:
		return rules.Authenticated(), nil
	}
	return c, fmt.Errorf("%q is not a condition: from, to, subject, body with words, attachment, header NAME EXPRESSION, larger-than SIZE, level LEVEL, client NETWORK, authenticated", strings.TrimSpace(name+" "+strings.Join(args, " ")))
}

// action makes an action of its name and its arguments.
func action(name string, args []string) (a rules.Action, err error) {
	switch n := len(args); {
	case name == "disclaimer" && n == 1:
		return rules.Disclaimer(args[0], ""), nil
	case name == "disclaimer" && n == 2:
		return rules.Disclaimer(args[0], args[1]), nil
	case name == "subject" && n == 1:
		return rules.PrependSubject(args[0]), nil
	case name == "set-header" && n == 2:
		return rules.SetHeader(args[0], args[1]), nil
	case name == "remove-header" && n == 1:
		return rules.RemoveHeader(args[0]), nil
	case name == "set-level" && n == 1:
		l, err := level(args[0])
		return rules.SetSCL(l), err
	case name == "redirect" && n > 0:
		return rules.Redirect(args...), nil
	case name == "copy" && n > 0:
		return rules.Copy(args...), nil
	case name == "refuse" && n == 1:
		return rules.Reject(550, args[0]), nil
	case name == "discard" && n == 0:
		return rules.Drop(), nil
	}
	return a, fmt.Errorf("%q is not an action: disclaimer TEXT [HTML], subject PREFIX, set-header NAME VALUE, remove-header NAME, set-level LEVEL, redirect ADDRESS, copy ADDRESS, refuse TEXT, discard", strings.TrimSpace(name+" "+strings.Join(args, " ")))
}

func level(text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > 9 {
		return 0, fmt.Errorf("%q is not a level from 0 to 9", text)
	}
	return n, nil
}

func networks(list []string) (all []netip.Prefix, err error) {
	for _, one := range list {
		more, err := policy.ParseNetworks(one)
		if err != nil {
			return nil, err
		}
		all = append(all, more...)
	}
	return all, nil
}

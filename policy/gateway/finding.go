package gateway

import (
	"errors"
	"regexp"
	"slices"
	"strings"

	"github.com/bridgehead-mail/bridgehead/internal/site"
)

// A Finding is one result of [Gateway.Check]. A *Finding is also an error:
// [Gateway.Validate] joins one for each setting that is wrong. Its method Error
// returns Subject and Text, and Unwrap returns Err.
//
//	type Finding struct {
//		Severity Severity // Note, Warning or Error
//		Subject  string   // what was checked: a field ("Listeners[0].Server.TLSConfig"), or another thing ("MX of example.com")
//		Text     string   // the result, in one or more sentences
//		Err      error    // the cause, or nil; it is not in the JSON form
//	}
type Finding = site.Finding

// A Severity is how serious a Finding is. They are ordered: Note, Warning, Error.
// The method String returns "note", "warning" or "error"; JSON has the same text.
type Severity = site.Severity

const (
	// Note is information: what was checked, and the result.
	Note = site.Note
	// Warning is a setting or a state that is probably wrong. The relay runs.
	Warning = site.Warning
	// Error is a setting that cannot work or contradicts another one, or a
	// state in which mail is lost, refused or not delivered.
	Error = site.Error
)

// findings collects the results of a check.
type findings []Finding

func (f *findings) add(s Severity, subject, text string) {
	*f = append(*f, Finding{Severity: s, Subject: subject, Text: text})
}

// addError adds one finding for each error that err joins. subject is the path of
// the part that the error comes from. If the text begins with the name of a
// field, the field becomes a part of the path.
func (f *findings) addError(subject string, err error) {
	if err == nil {
		return
	}
	if many, is := err.(interface{ Unwrap() []error }); is && strings.Contains(err.Error(), "\n") {
		for _, one := range many.Unwrap() {
			f.addError(subject, one)
		}
		return
	}
	text := err.Error()
	for {
		m := fieldName.FindStringSubmatch(text)
		if m == nil {
			break
		}
		subject, text = subject+"."+m[1], m[2]
	}
	text = packageName.ReplaceAllString(text, "")
	*f = append(*f, Finding{Severity: Error, Subject: subject, Text: text, Err: err})
}

// has reports whether there is a finding about a field, or about a part of it.
func (f *findings) has(field string) bool {
	return slices.ContainsFunc(*f, func(one Finding) bool { return strings.HasPrefix(one.Subject, field) })
}

var (
	packageName = regexp.MustCompile(`^[a-z]+: `)
	// fieldName matches "smtpserver: Limits.CommandLine: text" and
	// "queue: Queue.Store is not set". The type of the part is not a part of
	// the path.
	fieldName = regexp.MustCompile(`^[a-z]+: (?:(?:Queue|Server|Gate|Router|Log)\.)?([A-Z]\w*(?:\[[^\]]*\])?(?:\.\w+(?:\[[^\]]*\])?)*)(?:: | )(.*)$`)
)

// errs returns the findings that are errors, joined, or nil.
func (f findings) errs() error {
	var errs []error
	for i := range f {
		if f[i].Severity == Error {
			errs = append(errs, &f[i])
		}
	}
	return errors.Join(errs...)
}

package content

import (
	"context"
	"errors"
	"fmt"
	"path"
	"runtime"
	"strings"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/policy/internal/mimetree"
	"github.com/bridgehead-mail/bridgehead/policy/internal/transaction"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// Attachments refuses messages with attachments of given names or types, or
// strips these attachments. Its zero value checks nothing.
//
// It reads MIME (RFC 2045 and 2231), enclosed messages, zip, tar and gzip
// archives, and message files (.eml, .mht, .mhtml, .nws). It does not read
// uuencoded text, winmail.dat, disk images, and RAR, 7z, bzip2, xz and cabinet
// archives. To refuse such files, add their names to Names. To refuse message
// fragments, add message/partial to Types.
//
// A message with an attachment that matches Names or Types is refused with 550
// 5.7.1. If an attachment cannot be read reliably, the message is refused with
// 550 5.6.0 (see AllowUnreadable). If the message has too many parts, it is
// refused with 554 5.6.0.
type Attachments struct {
	// Names are patterns for file names, as in path.Match: "*.exe",
	// "invoice*.js". Upper and lower case are the same. The comparison ignores
	// characters that file systems remove from a name: dots, spaces and quotes
	// at the end, control characters, folders, and everything after a NUL or a
	// colon.
	Names []string
	// Types are patterns for media types, as in path.Match:
	// "application/x-msdownload", "video/*". Programs are also recognized by
	// their first bytes. They then also have the type application/x-msdownload
	// (Windows) or application/x-executable (ELF), in addition to the declared
	// type.
	Types []string

	// Strip removes each attachment that is not allowed, and inserts the text
	// Notice in its place. Otherwise the whole message is refused. Stripping
	// breaks signatures over the message (S/MIME, DKIM).
	Strip bool
	// Notice is the text that replaces an attachment. It must be ASCII. "%s"
	// is replaced by the name of the attachment. Default: a sentence in
	// English that names the attachment.
	Notice string

	// SkipArchives disables the check of the contents of archives and message
	// files.
	SkipArchives bool
	// AllowUnreadable allows attachments and messages that cannot be checked:
	// damaged archives, archives that exceed the limits, files that have the
	// name of an archive but are not archives, messages with more than 1000
	// parts or 30 levels, and parts that programs may read in different ways
	// (two boundaries, two transfer encodings, a Content- field that is folded
	// before its colon, a file name in an unknown charset). Otherwise they are
	// not allowed.
	AllowUnreadable bool
	// ArchiveSize limits the bytes that are read and unpacked from all
	// archives of one message, including archives within archives. Default 64
	// MiB. Archives are unpacked in memory, for at most GOMAXPROCS messages at
	// a time for each agent. Other messages wait.
	ArchiveSize int64
	// ArchiveEntries limits the number of names in one attachment. Default
	// 1000.
	ArchiveEntries int
	// ArchiveDepth limits the levels of archives and encoded messages in one
	// attachment. Default 3.
	ArchiveDepth int
}

// Validate returns an error that names the first setting that is wrong.
func (a *Attachments) Validate() error {
	for _, n := range a.Names {
		if _, err := path.Match(n, ""); err != nil || n == "" {
			return fmt.Errorf("content: Attachments.Names: bad pattern %q", n)
		}
	}
	for _, t := range a.Types {
		if _, err := path.Match(t, ""); err != nil || strings.Count(t, "/") != 1 {
			return fmt.Errorf("content: Attachments.Types: bad media type %q", t)
		}
	}
	for i := range len(a.Notice) {
		if a.Notice[i] >= 0x7f {
			return errors.New("content: Attachments.Notice contains characters other than ASCII")
		}
	}
	return nil
}

// Agent returns an agent that checks attachments at the end of data.
func (a *Attachments) Agent() smtpserver.Agent {
	slots := make(chan struct{}, runtime.GOMAXPROCS(0))
	return smtpserver.Agent{Name: "attachment filter", EndOfData: func(ctx context.Context, s *smtpserver.Session, m *smtpserver.Message) error {
		return a.check(ctx, s, m, slots)
	}}
}

// A finding is an attachment that is not allowed.
type finding struct {
	part int
	verdict
}

// A verdict is the result of the check of a part. Its zero value allows the part.
type verdict struct {
	name       string // the name of the part in replies and notices
	unreadable bool   // it cannot be read reliably
}

func notAllowed(name string) verdict { return verdict{name: name} }

// unreadable returns the verdict about a part that cannot be read.
func (l *look) unreadable(names []string, mediaType, why string) verdict {
	if l.a.AllowUnreadable {
		return verdict{}
	}
	return verdict{called(names, mediaType) + " (" + why + ")", true}
}

// check checks a message. It unpacks archives only while it holds one of slots.
func (a *Attachments) check(ctx context.Context, s *smtpserver.Session, m *smtpserver.Message, slots chan struct{}) error {
	if len(a.Names) == 0 && len(a.Types) == 0 {
		return nil
	}
	c := m.Content()
	parts, err := transaction.Parts(s, m)
	if errors.Is(err, mimetree.ErrLimit) {
		if a.AllowUnreadable {
			return nil
		}
		return errComplex
	}
	if err != nil {
		return err
	}
	l := a.look(ctx, slots)
	defer l.leave()
	var found []finding
	for i := range parts {
		p := &parts[i]
		if i == 0 && p.Unclear() != "" && !a.AllowUnreadable {
			return verdict{"message (ambiguous " + p.Unclear() + ")", true}.refusal() // stripping would remove the whole message
		}
		v, err := l.check(c, p)
		if err != nil {
			return err
		}
		if v.name == "" {
			continue
		}
		if !a.Strip {
			return v.refusal()
		}
		found = append(found, finding{i, v})
	}
	if len(found) == 0 {
		return nil
	}
	return a.strip(m, parts, found)
}

var errComplex = &smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 6, 0}, Message: "Message has too many parts to be checked"}

func (v verdict) refusal() error {
	code := smtp.EnhancedCode{5, 7, 1}
	if v.unreadable {
		code = smtp.EnhancedCode{5, 6, 0}
	}
	return &smtp.SMTPError{Code: 550, EnhancedCode: code, Message: fmt.Sprintf("Attachment %q is not allowed here", ascii(v.name))}
}

// check checks a part and its contents.
func (l *look) check(c smtpserver.Content, p *mimetree.Part) (verdict, error) {
	names := p.Names()
	for _, n := range names {
		if l.a.nameMatches(n) {
			return notAllowed(n), nil
		}
	}
	for _, t := range p.Types() {
		if l.a.typeMatches(t) {
			return notAllowed(called(names, t)), nil
		}
	}
	if u := p.Unclear(); u != "" && !l.a.AllowUnreadable {
		return l.unreadable(names, p.Type, "ambiguous "+u), nil
	}
	if !p.Leaf() {
		return verdict{}, nil
	}
	return l.inside(c, p, names)
}

func (a *Attachments) nameMatches(name string) bool {
	for _, pattern := range a.Names {
		if mimetree.Match(pattern, name) { // Validate has checked the pattern
			return true
		}
	}
	return false
}

func (a *Attachments) typeMatches(t string) bool {
	for _, pattern := range a.Types {
		if ok, _ := path.Match(strings.ToLower(pattern), t); ok {
			return true
		}
	}
	return false
}

func called(names []string, otherwise string) string {
	if len(names) > 0 {
		return names[0]
	}
	return otherwise
}

// ascii returns a name in a form for replies and notices: printable ASCII, and
// at most 100 bytes.
func ascii(name string) string {
	s := strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, name)
	return s[:min(len(s), 100)]
}

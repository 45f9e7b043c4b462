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
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// Attachments refuses messages with attachments of certain names or types, or
// strips those attachments. Its zero value looks for none.
//
// It reads MIME (RFC 2045 and 2231), also in enclosed messages, zip, tar and gzip
// archives, and files of messages (.eml, .mht, .mhtml, .nws). It does not look
// into uuencoded text, winmail.dat, RAR, 7z, bzip2, xz and cabinet archives and
// disk images: refuse those by their names, and fragments by the type
// message/partial.
//
// A message with an attachment of such a name or type is refused with 550 5.7.1;
// one that cannot be read with certainty (see AllowUnreadable) with 550 5.6.0.
type Attachments struct {
	// Names are patterns of path.Match for file names: "*.exe", "invoice*.js".
	// Upper and lower case are the same, and so are names with what file
	// systems do not keep: dots, spaces and quotes at the end, control
	// characters, folders, what follows a NUL or a colon.
	Names []string
	// Types are media types: "application/x-msdownload", "video/*". A
	// program is found by its first bytes too, whatever type it claims:
	// as application/x-msdownload (Windows) or application/x-executable (ELF).
	Types []string

	// Strip puts a text into the place of such an attachment, where otherwise
	// the whole message is refused with 550 5.7.1. A signature over the
	// message (S/MIME, DKIM) does not survive that.
	Strip bool
	// Notice is that text, in ASCII; %s in it stands for the name.
	Notice string

	// SkipArchives does not look into archives and files of messages.
	SkipArchives bool
	// AllowUnreadable lets pass what cannot be looked into: archives that are
	// damaged, beyond the limits, or none in spite of their names; messages
	// with more than 1000 parts or 30 levels; and parts that programs may read in
	// several ways (two boundaries, two transfer encodings, a Content- field that
	// is folded before its colon, a file name in a charset that is not known).
	// Otherwise these count as not allowed.
	AllowUnreadable bool
	// ArchiveSize bounds the bytes of one message's archives that are read and
	// unpacked, those of archives within them included. Default 64 MiB. It is
	// done in memory, for no more messages at a time than there are
	// processors; others wait.
	ArchiveSize int64
	// ArchiveEntries and ArchiveDepth bound the names in an attachment and the
	// levels of archives and encoded messages in it. Defaults 1000 and 3.
	ArchiveEntries, ArchiveDepth int
}

// Validate says which setting is wrong.
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
			return errors.New("content: Attachments.Notice is not ASCII")
		}
	}
	return nil
}

// Agent judges at the end of data.
func (a *Attachments) Agent() smtpserver.Agent {
	slots := make(chan struct{}, runtime.GOMAXPROCS(0))
	return smtpserver.Agent{Name: "attachment filter", EndOfData: func(ctx context.Context, _ *smtpserver.Session, m *smtpserver.Message) error {
		return a.judge(ctx, m, slots)
	}}
}

// A finding is an attachment that is not allowed.
type finding struct {
	part int
	verdict
}

// A verdict is about a part. Its zero value allows it.
type verdict struct {
	name       string // what to call the part
	unreadable bool   // it cannot be read with certainty
}

func notAllowed(name string) verdict { return verdict{name: name} }

// unreadable is the verdict about what cannot be read.
func (l *look) unreadable(names []string, mediaType, why string) verdict {
	if l.a.AllowUnreadable {
		return verdict{}
	}
	return verdict{called(names, mediaType) + " (" + why + ")", true}
}

// judge looks into archives while it has one of slots.
func (a *Attachments) judge(ctx context.Context, m *smtpserver.Message, slots chan struct{}) error {
	if len(a.Names) == 0 && len(a.Types) == 0 {
		return nil
	}
	c := m.Content()
	parts, err := mimetree.Parse(c, mimetree.Limits{})
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
			return verdict{"message (unclear " + p.Unclear() + ")", true}.refusal() // not to be stripped: all would be lost
		}
		v, err := l.judge(c, p)
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

var errComplex = &smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 6, 0}, Message: "Message has too many parts to be looked into"}

func (v verdict) refusal() error {
	code := smtp.EnhancedCode{5, 7, 1}
	if v.unreadable {
		code = smtp.EnhancedCode{5, 6, 0}
	}
	return &smtp.SMTPError{Code: 550, EnhancedCode: code, Message: fmt.Sprintf("Attachment %q is not allowed here", ascii(v.name))}
}

// judge looks at a part and into it.
func (l *look) judge(c smtpserver.Content, p *mimetree.Part) (verdict, error) {
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
		return l.unreadable(names, p.Type, "unclear "+u), nil
	}
	if !p.Leaf() {
		return verdict{}, nil
	}
	return l.inside(c, p, names)
}

func (a *Attachments) nameMatches(name string) bool {
	for _, pattern := range a.Names {
		if mimetree.Match(pattern, name) { // Validate has seen the pattern
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

// ascii makes a name fit for replies and texts.
func ascii(name string) string {
	s := strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, name)
	return s[:min(len(s), 100)]
}

package policy

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/internal/settings"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// AliasFile is an AliasSource in a text file, similar to aliases(5) of Postfix and
// Sendmail, with whole addresses:
//
//	# an alias, a contact with an address elsewhere, and a group
//	info@example.com:    alice@example.com
//	partner@example.com: someone@example.net
//	sales@example.com:   bob@example.com, carol@example.com,
//	    partner@example.com
//	# reports about members of sales go to this address
//	owner-sales@example.com: bob@example.com
//	# no report names a member of this group
//	board@example.com:   :hidden: dave@example.com, erin@example.com
//	# the mailbox is on another host
//	frank@example.com:   :host: mail2.example.com
//
// A line that begins with white space continues the previous one. A # at the start of
// a line or after white space begins a comment. Upper and lower case are equal. An
// entry for owner-NAME makes that address the owner of the group NAME in the same
// domain. ":host:" names a domain or an address literal that the routing table
// resolves; such an entry has no members. An address without a domain, a duplicate
// entry, and an entry without members are errors.
//
// The file is read again after it has changed, in the same way as the file of a
// [FileDirectory]: if the new file has an error, the previous table stays in use, the
// error is logged, and Err returns it.
//
// The fields must not change once it is used. It is safe for concurrent use.
type AliasFile struct {
	// Path is the path of the file.
	Path string
	// Interval is the time between checks of the file, and the time that a new
	// file must be unchanged before it replaces the table. Default 5 s.
	Interval time.Duration
	// MaxSize is the maximum size of the file in bytes. Default 64 MiB.
	MaxSize int64
	// Logger gets a line when the file was read or could not be read. Default:
	// that of the gateway.Gateway. If there is none, nothing is logged.
	Logger *slog.Logger

	mu   sync.Mutex // guards Logger
	file watchedFile[map[string]*Alias]
}

// Validate returns an error if a setting can never work. It does not read the
// file; see Load.
func (f *AliasFile) Validate() error {
	if f.Path == "" {
		return errors.New("policy: AliasFile.Path is not set")
	}
	return settings.Join("policy: AliasFile.", settings.Time("Interval", f.Interval), settings.Number("MaxSize", f.MaxSize))
}

// Inherit sets Logger if it is not set. Aliases calls it.
func (f *AliasFile) Inherit(s smtpserver.Defaults) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s.Fill(nil, &f.Logger)
}

// Alias implements AliasSource.
func (f *AliasFile) Alias(_ context.Context, address string) (*Alias, error) {
	table, err := f.file.get(f.source(), time.Now())
	if err != nil {
		return nil, err
	}
	return (*table)[fold(address)], nil
}

// Load reads the file now if it has changed. Call it before the server starts
// to get an error if the file is wrong.
func (f *AliasFile) Load() error { return f.file.load(f.source()) }

// Err returns why the file could not be used when it was last read, or nil. The
// previous table, if there is one, stays in use.
func (f *AliasFile) Err() error { return f.file.err() }

func (f *AliasFile) source() fileSource[map[string]*Alias] {
	s := fileSource[map[string]*Alias]{f.Path, f.Interval, f.MaxSize, f.parse, f.logRead}
	setDefault(&s.interval, 5*time.Second)
	if s.maxSize <= 0 {
		s.maxSize = 64 << 20
	}
	return s
}

func (f *AliasFile) logRead(table *map[string]*Alias, err error) {
	f.mu.Lock()
	log := f.Logger
	f.mu.Unlock()
	switch {
	case log == nil:
	case err != nil:
		log.Error("policy: aliases cannot be read", "file", f.Path, "error", err)
	case table != nil:
		log.Info("policy: aliases read", "file", f.Path, "entries", len(*table))
	}
}

// parse reads the table. An empty table is an error: the file may have been truncated
// or not yet written.
func (f *AliasFile) parse(r io.Reader) (map[string]*Alias, error) {
	table := make(map[string]*Alias)
	fail := func(no int, err error) error { return fmt.Errorf("%s: line %d: %w", f.Path, no, err) }
	var current *Alias // of the last entry
	open := true       // the entry may continue
	began := 0         // its line
	end := func() error {
		if current != nil && len(current.Members) == 0 && current.Route == (queue.NextHop{}) {
			return fail(began, errors.New("the entry has no members"))
		}
		return nil
	}
	lines := bufio.NewScanner(r) // refuses lines of more than 64 KiB
	no := 0
	for lines.Scan() {
		no++
		text := lines.Text()
		if no == 1 {
			text = strings.TrimPrefix(text, "\ufeff") // a byte order mark
		}
		goesOn := strings.HasPrefix(text, " ") || strings.HasPrefix(text, "\t")
		if text = withoutComment(text); text == "" {
			continue
		}
		if goesOn && current == nil {
			return nil, fail(no, errors.New("the line begins with white space, but continues no entry"))
		}
		if !goesOn {
			if err := end(); err != nil {
				return nil, err
			}
			name, rest, err := cutName(text)
			if err != nil {
				return nil, fail(no, err)
			}
			if table[fold(name)] != nil {
				return nil, fail(no, fmt.Errorf("a second entry for %s", name))
			}
			current, open, began, text = new(Alias), true, no, rest
			table[fold(name)] = current
		}
		if err := current.read(text, &open); err != nil {
			return nil, fail(no, err)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fail(no+1, err)
	}
	if err := end(); err != nil {
		return nil, err
	}
	if len(table) == 0 {
		return nil, fmt.Errorf("%s: the file has no entries", f.Path)
	}
	setOwners(table)
	return table, nil
}

// cutName cuts an entry after its address. A colon within quotes belongs to the
// address.
func cutName(text string) (name, rest string, err error) {
	quoted := false
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '\\':
			i++
		case text[i] == '"':
			quoted = !quoted
		case text[i] == ':' && !quoted:
			name = strings.TrimSpace(text[:i])
			return name, text[i+1:], wholeAddress(name)
		}
	}
	return "", "", fmt.Errorf("%.100q is not of the form address: members", text)
}

func wholeAddress(s string) error {
	if err := addr.Mailbox(s, true); err != nil {
		return fmt.Errorf("%.100q: %w", s, err)
	}
	return nil
}

// read adds the members in a line. open is false after ":host:".
func (a *Alias) read(text string, open *bool) error {
	text = strings.TrimSpace(text)
	if rest, is := strings.CutPrefix(text, ":hidden:"); is {
		a.Hidden, text = true, strings.TrimSpace(rest)
	}
	if host, is := strings.CutPrefix(text, ":host:"); is && len(a.Members) == 0 && *open {
		*open = false
		return a.setHost(strings.TrimSpace(host))
	}
	for text != "" {
		if !*open {
			return errors.New("an entry with :host: has no members")
		}
		member, rest := cutMember(text)
		if member != "" {
			if err := wholeAddress(member); err != nil {
				return err
			}
			a.Members = append(a.Members, member)
		}
		text = rest
	}
	return nil
}

// cutMember cuts text at the first comma that is not within quotes.
func cutMember(text string) (member, rest string) {
	quoted := false
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '\\':
			i++
		case text[i] == '"':
			quoted = !quoted
		case text[i] == ',' && !quoted:
			return strings.TrimSpace(text[:i]), strings.TrimSpace(text[i+1:])
		}
	}
	return text, ""
}

func (a *Alias) setHost(host string) error {
	if !strings.HasPrefix(host, "[") {
		name, err := addr.HostName(host)
		if err != nil {
			return fmt.Errorf(":host: %.100q: %w", host, err)
		}
		host = name
	} else if err := addr.Mailbox("a@"+host, true); err != nil {
		return fmt.Errorf(":host: %.100q: %w", host, err)
	}
	a.Route = queue.NextHop{Destination: host}
	return nil
}

// setOwners makes owner-NAME the owner of the group NAME.
func setOwners(table map[string]*Alias) {
	for name := range table {
		group, is := strings.CutPrefix(name, "owner-")
		if a := table[group]; is && a != nil {
			a.Owner = name
		}
	}
}

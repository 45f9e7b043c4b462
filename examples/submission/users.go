package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/bridgehead-mail/bridgehead/examples/internal/program"
	"github.com/bridgehead-mail/bridgehead/policy"
)

// A user is one line of the file of -users: the addresses and the limits of an account.
type user struct {
	addresses  []string
	size       int64 // of a message, in bytes
	recipients int   // of a message; -1: no limit
	perHour    hourly
}

// hourly are limits of all messages in an hour; 0: no limit.
type hourly struct{ messages, recipients int }

// users are the accounts that have a line, by their names in lower case.
type users struct {
	of       map[string]user
	standard user // for the others
	domain   string
}

// readUsers reads the file of -users.
func (s *submission) readUsers(k *program.Kit) *users {
	all := &users{domain: s.domain, standard: user{
		size: cmp.Or(int64(k.MaxSize), 36<<20), recipients: cmp.Or(k.MaxRecipients, 200), perHour: s.perHour,
	}}
	if text := k.ReadFile("users", s.users); text != nil {
		var err error
		if all.of, err = parseUsers(string(text), all.standard); err != nil {
			k.Fault("users", fmt.Errorf("%s: %w", s.users, err))
		}
	}
	return all
}

// parseUsers parses the file of -users. A line has the account, its addresses, and limits
// that differ from the standard.
func parseUsers(text string, standard user) (map[string]user, error) {
	all, seen, n := make(map[string]user), make(map[string]int), 0
	for line := range strings.Lines(text) {
		n++
		f := fields(line)
		if len(f) == 0 {
			continue
		}
		if len(f) == 1 {
			return nil, fmt.Errorf("line %d: want an account, its addresses (- for none) and limits", n)
		}
		name, u := strings.ToLower(f[0]), standard
		if seen[name] > 0 {
			return nil, fmt.Errorf("line %d: %s is also in line %d", n, f[0], seen[name])
		}
		seen[name] = n
		if f[1] != "-" {
			u.addresses = strings.Split(f[1], ",")
		}
		for _, a := range u.addresses {
			if local, domain, ok := strings.Cut(a, "@"); !ok || domain == "" || strings.ContainsAny(local, "*=") {
				return nil, fmt.Errorf("line %d: %q is neither an address nor @domain", n, a)
			}
		}
		for _, limit := range f[2:] {
			if err := u.limit(limit); err != nil {
				return nil, fmt.Errorf("line %d: %w", n, err)
			}
		}
		all[name] = u
	}
	if len(all) == 0 {
		return nil, errors.New("the file has no accounts")
	}
	return all, nil
}

// fields returns the fields of a line, without a comment.
func fields(line string) (f []string) {
	for _, one := range strings.Fields(line) {
		if strings.HasPrefix(one, "#") {
			break
		}
		f = append(f, one)
	}
	return f
}

// limit sets a limit from name=value. The names are those of the settings.
func (u *user) limit(text string) error {
	name, value, _ := strings.Cut(text, "=")
	if name == "max-size" {
		var size program.Size
		err := size.Set(value)
		u.size = int64(size)
		return err
	}
	n, err := strconv.Atoi(value)
	switch {
	case name != "max-recipients" && name != "hourly-messages" && name != "hourly-recipients":
		return fmt.Errorf("%q is not a limit: want max-size=, max-recipients=, hourly-messages= or hourly-recipients=", text)
	case err != nil || n < 0 || n == 0 && name == "max-recipients":
		return fmt.Errorf("%s: %q is not a limit", name, value)
	}
	switch name {
	case "max-recipients":
		u.recipients = n
	case "hourly-messages":
		u.perHour.messages = n
	case "hourly-recipients":
		u.perHour.recipients = n
	}
	return nil
}

// unknown returns a warning for each line whose account does not exist. A nil exists
// means that this is not known.
func (u *users) unknown(exists func(account string) bool) (warnings []string) {
	for _, name := range slices.Sorted(maps.Keys(u.of)) {
		if exists != nil && !exists(name) {
			warnings = append(warnings, "users: "+name+" is not in the file of -accounts")
		}
	}
	return warnings
}

// user returns the addresses and limits of an account.
func (u *users) user(account string) user {
	if one, ok := u.of[strings.ToLower(account)]; ok {
		return one
	}
	return u.standard
}

// largest returns the largest limits of any account. They are those of the server.
func (u *users) largest() (size int64, recipients int) {
	size, recipients = u.standard.size, u.standard.recipients
	for _, one := range u.of {
		size = max(size, one.size)
		if recipients > 0 {
			recipients = max(recipients, one.recipients)
		}
	}
	return size, recipients
}

// owns returns the function for policy.SendAs: an account has the address that is its
// name, those of the file, and those that the source of the accounts knows.
func (u *users) owns(known func(ctx context.Context, account, address string) (bool, error)) func(ctx context.Context, account, address string) (bool, error) {
	table := make(map[string][]string)
	for name, one := range u.of {
		table[name] = one.addresses
	}
	listed := policy.SendersOf(table)
	return func(ctx context.Context, account, address string) (bool, error) {
		account = strings.ToLower(account)
		if own, err := listed(ctx, account, address); own || err != nil {
			return own, err
		}
		if u.domain != "" && !strings.Contains(account, "@") {
			if own, err := listed(ctx, account+"@"+u.domain, address); own || err != nil {
				return own, err
			}
		}
		if known == nil {
			return false, nil
		}
		return known(ctx, account, address)
	}
}

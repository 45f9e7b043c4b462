package main

import (
	"errors"
	"flag"
	"fmt"

	"github.com/bridgehead-mail/bridgehead/examples/internal/program"
	"github.com/bridgehead-mail/bridgehead/policy"
)

// accepted are the accepted domains.
type accepted struct{ list program.Records }

func (a *accepted) define(f *flag.FlagSet) {
	a.list = program.Records{Fields: []string{"name", "kind", "recipients-file"}, Lists: []string{"recipients"}}
	f.Var(&a.list, "domains", "accepted `domain`, to whose recipients all clients may send, as \"example.com; recipients=alice,bob\".\n"+
		"The fields are name; kind: authoritative (the default), internal relay or external relay; and recipients\n"+
		"or recipients-file. Without recipients, all are accepted. Repeat it for more domains; required")
}

var kinds = map[string]policy.Kind{"": policy.Authoritative, policy.Authoritative.String(): policy.Authoritative,
	policy.InternalRelay.String(): policy.InternalRelay, policy.ExternalRelay.String(): policy.ExternalRelay}

// domains checks each domain together with those before it, so that the error names
// the faulty one.
func (a *accepted) domains(k *program.Kit) (all []policy.Domain) {
	for i, d := range a.list.All {
		path := fmt.Sprintf("domains[%d]", i)
		kind, known := kinds[d.Get("kind")]
		if !known {
			k.Fault(path+".kind", fmt.Errorf("%q is not one of authoritative, internal relay, external relay", d.Get("kind")))
		}
		with := append(all, policy.Domain{Name: d.Get("name"), Kind: kind, Directory: directory(k, path, d)})
		domains, err := policy.NewDomains(with...)
		if err == nil {
			err = (&policy.Relay{Domains: domains}).Validate()
		}
		if err == nil {
			all = with
		}
		k.Fault(path+".name", err)
	}
	k.Require("domains", len(a.list.All) > 0)
	return all
}

// directory returns the recipients of a domain; nil if they are not listed.
func directory(k *program.Kit, path string, d program.Record) policy.Directory {
	recipients := d["recipients"]
	switch {
	case d.Has("recipients-file") && d.Has("recipients"):
		k.Fault(path+".recipients-file", errors.New("recipients and recipients-file exclude each other"))
	case d.Has("recipients-file"):
		return k.Recipients(path+".recipients-file", d.Get("recipients-file"))
	case len(recipients) > 0:
		k.Each(path+".recipients", recipients, isAddress)
		return policy.Recipients(recipients...)
	case d.Has("recipients"):
		k.Fault(path+".recipients", errors.New("has no recipients. Without the setting, the domain accepts all of them"))
	}
	return nil
}

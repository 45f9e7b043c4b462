package console

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/bridgehead-mail/bridgehead/internal/wildcard"
	"github.com/bridgehead-mail/bridgehead/policy"
)

// domainsParams select a page of accepted domains.
type domainsParams struct {
	Name  string `param:"name" doc:"Only domains whose name matches; * matches any characters."`
	Page  int    `param:"page" doc:"The number of the page, from 1."`
	Limit int    `param:"limit" doc:"Rows of the page, at most 1000. Default 100."`
}

// domainsView is a page of accepted domains.
type domainsView struct {
	Domains []domainView `json:"domains"`
	Total   int          `json:"total" doc:"Of the domains that match."`
	Next    int          `json:"next,omitempty" doc:"The value of the parameter page for the next page."`

	Params domainsParams `json:"-"`
}

// domainView is an accepted domain.
type domainView struct {
	Name       string   `json:"name"`
	Receivers  []string `json:"receiveConnectors" doc:"The receive connectors that accept its mail from everyone."`
	Kind       string   `json:"kind" doc:"authoritative, internal relay or external relay."`
	Default    bool     `json:"default,omitempty" doc:"It is the domain of postmaster without a domain."`
	Directory  bool     `json:"directory" doc:"Whether a directory lists the recipients. Without one, all are accepted."`
	Shared     int      `json:"sharedWith,omitempty" doc:"The number of other mail systems that share the domain."`
	CatchAll   string   `json:"catchAll,omitempty" doc:"The mailbox for unknown recipients. Only for operators."`
	Unresolved string   `json:"unresolved,omitempty" doc:"The next hop for unknown recipients."`
	SmartHosts []string `json:"smartHosts,omitempty" doc:"The hosts that get the mail."`
	Connector  string   `json:"connector,omitempty" doc:"The send connector that delivers the mail. Without smartHosts and connector, the address spaces decide."`
}

func showDomains(x *call, p domainsParams) (*domainsView, error) {
	limit, err := rows(p.Limit)
	if err != nil {
		return nil, err
	}
	if p.Page < 0 || p.Page > 1_000_000 {
		return nil, wrongParameter("page", fmt.Sprintf("%d is not the number of a page", p.Page))
	}
	all := x.acceptedDomains(p.Name)
	v := &domainsView{Total: len(all), Params: p}
	page := max(p.Page, 1)
	begin := min((page-1)*limit, len(all))
	v.Domains = all[begin:min(begin+limit, len(all))]
	if begin+limit < len(all) {
		v.Next = page + 1
	}
	return v, nil
}

// acceptedDomains returns the accepted domains of all receive connectors whose name
// matches, sorted. Domains with the same settings are one.
func (x *call) acceptedDomains(pattern string) []domainView {
	all, index := []domainView{}, map[string]int{}
	for _, c := range x.console.Gateway.ReceiveConnectors() {
		if c.Gate == nil {
			continue
		}
		for i := range c.Gate.Domains {
			d := viewOfDomain(&c.Gate.Domains[i], x.viewer())
			if pattern != "" && !wildcard.Match(pattern, d.Name) {
				continue
			}
			key := fmt.Sprintf("%+v", d)
			at, known := index[key]
			if !known {
				at, index[key] = len(all), len(all)
				all = append(all, d)
			}
			if !slices.Contains(all[at].Receivers, c.Name) {
				all[at].Receivers = append(all[at].Receivers, c.Name)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b domainView) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

func viewOfDomain(d *policy.Domain, viewer bool) domainView {
	v := domainView{Name: strings.ToLower(strings.TrimSpace(d.Name)), Receivers: []string{}, Kind: d.Kind.String(), Default: d.Default,
		Directory: d.Directory != nil, Shared: len(d.SharedWith), CatchAll: d.CatchAll, Unresolved: d.Unresolved.String(),
		SmartHosts: d.SmartHosts, Connector: d.Connector}
	if viewer {
		v.CatchAll = ""
	}
	return v
}

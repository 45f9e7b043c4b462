package gateway

import "github.com/bridgehead-mail/bridgehead/smtpserver"

// defaults are settings that depend on the whole relay. The Gateway gives them
// to its servers.
type defaults struct {
	logins  *smtpserver.LoginLimit // of all servers that have none of their own
	content *smtpserver.ContentBudget
}

func newDefaults(content *smtpserver.ContentBudget) *defaults {
	if content == nil {
		content = new(smtpserver.ContentBudget)
	}
	return &defaults{logins: new(smtpserver.LoginLimit), content: content}
}

// apply sets the settings of a server that are not set. The server has not
// served yet.
func (d *defaults) apply(srv *smtpserver.Server) {
	if srv.LoginLimit == nil {
		srv.LoginLimit = d.logins
	}
	if srv.ContentBudget == nil {
		srv.ContentBudget = d.content
	}
}

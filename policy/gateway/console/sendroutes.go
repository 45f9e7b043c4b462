package console

func sendRoutes() []route {
	return []route{
		view("/connectors", "Connectors", "connectors.html", "The send connectors, with the state of their schedules.", showConnectors).inMenu("Connectors"),
		view("/explain", "Explain a route", "explain.html", "Where a message would go, and why. Nothing is sent.", showExplain).bounded(boundSearch),
		report("/probe", "Probe the hosts of a route", "explain.html", "Opens a session with each host of a route, without sending mail.", probe),
		report("/compare", "Compare with the candidate", "compare.html", "What the settings of Console.Candidate would change, by the mail in the tracking log.", compareCandidate),
		view("/domains", "Accepted domains", "domains.html", "The accepted domains of the receive connectors.", showDomains).inMenu("Domains"),
		view("/limits", "Limits", "limits.html", "The limits in force.", showLimits).inMenu("Limits"),
		view("/check", "Check", "check.html", "The form for the check.", showCheck).inMenu("Check").forOperators(),
		report("/check", "Check the settings, the DNS and the smart hosts", "check.html", "Checks the settings, the DNS records and the smart hosts.", check),
	}
}

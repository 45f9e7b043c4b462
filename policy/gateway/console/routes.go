package console

import (
	"slices"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// routes returns the table of the console. Its order is that of the menu. See
// route for how to add a page.
func routes() []route {
	return slices.Concat(
		[]route{
			view("/overview", "Overview", "overview.html", "The state of the relay.", showOverview).inMenu("Overview"),
			action("/pause", "Pauses receiving or sending.", planPause),
			action("/continue", "Ends a pause.", planContinue),
			raw("/events", "text/event-stream", "The totals of the page Overview, every two seconds, as events with the name totals.", streamTotals).bounded(boundStream),
		},
		queueRoutes(),
		messageRoutes(),
		sendRoutes(),
		[]route{
			view("/tracking", "Tracking", "tracking.html", "Searches the message tracking log, the newest entries first.", showTracking).inMenu("Tracking").bounded(boundSearch),
			view("/tracking/{id}", "Timeline", "timeline.html", "What happened to a message and to those made of it, also after it has left the queue.", showTimeline).bounded(boundSearch),
			view("/sessions", "Sessions", "sessions.html", "The live sessions with clients and next hops.", showSessions).inMenu("Sessions").bounded(boundSearch),
			action("/sessions/end", "Ends a live session.", planEndSession),
			view("/sessions/dialogue", "Dialogue", "dialogue.html", "The last lines of the dialogue of live sessions.", showDialogue).forOperators().bounded(boundSearch),
			raw("/sessions/watch", "text/event-stream", "The dialogue of live sessions as it happens, as events with the name line, each with a dialogueLine. With an ID, the lines that the session has kept come first. The last event has the name end, and the reason.", watchSessions).forOperators().bounded(boundStream),
		},
		[]route{
			view("/blocks", "Blocks", "blocks.html", "The clients that the relay refuses at present because of their reputation.", showBlocks).inMenu("Blocks").bounded(boundSearch),
			action("/blocks/unblock", "Ends the blocks of clients.", planUnblock).bounded(boundSearch),
			view("/nodes", "Nodes", "nodes.html", "The nodes that share the store of the relay.", showNodes).inMenu("Nodes"),
			action("/nodes/drain", "Makes a node give its messages to the other nodes and deliver none.", planDrain),
			action("/nodes/undrain", "Ends the draining of a node.", planUndrain),
			view("/loglevels", "Log levels", "loglevels.html", "The log levels of the parts of the relay.", showLogLevels).inMenu("Log levels"),
			action("/loglevels", "Changes the log level of a part, until the relay ends.", planLogLevel),
			view("/tracing", "Pipeline tracing", "tracing.html", "The sender whose messages are traced.", showTracing).inMenu("Pipeline tracing"),
			action("/tracing", "Traces the messages of a sender, until a time.", planTracing),
			action("/tracing/stop", "Stops the tracing of messages.", planStopTracing),
			view("/audit", "Audit", "audit.html", "The last actions, the newest first. Only those since the start of the relay.", showAudit).inMenu("Audit").forOperators(),
			raw("/metrics", "text/plain", "The statistics of the relay for Prometheus. Other formats: see package metrics.", writeMetrics),
			raw("/openapi.json", "application/json", "This document.", writeOpenAPI),
		},
	)
}

func queueRoutes() []route {
	return []route{
		view("/queues", "Queues", "queues.html", "The next hops that have mail or a state.", showQueues).inMenu("Queues"),
		view("/queues/{id}", "Queue", "queue.html", "One next hop.", showQueue),
		action("/queues/suspend", "Suspends next hops or a domain.", planSuspendQueues),
		action("/queues/resume", "Resumes next hops that are suspended.", planResumeQueues),
		action("/queues/retry", "Retries the mail of next hops now.", planRetryQueues),
		action("/queues/redirect", "Sends the messages of next hops to another next hop.", planRedirectQueues),
		action("/queues/remove", "Removes the messages of next hops.", planRemoveQueues),
		view("/suspensions", "Suspensions", "suspensions.html", "The suspensions of next hops and domains.", showSuspensions).inMenu("Suspensions"),
		action("/suspensions/lift", "Ends a suspension.", planLift),
		view("/age", "Age", "age.html", "How old the mail is, by domain: the table of qshape.", showAge).inMenu("Age").bounded(boundSearch),
	}
}

func messageRoutes() []route {
	return []route{
		view("/messages", "Messages", "messages.html", "Messages in the queue.", showMessages).inMenu("Messages").bounded(boundSearch),
		view("/messages/{id}", "Message", "message.html", "One message.", showMessage).bounded(boundSearch),
		raw("/messages/{id}/content", "application/octet-stream", "The content of a message, as a file.", writeContent).forOperators().bounded(boundExport),
		messageAction("suspend", "Suspends messages.", "Suspend", "They are not delivered until they are resumed.", queue.Suspend()),
		messageAction("resume", "Resumes suspended messages.", "Resume", "They are delivered again.", queue.Resume()),
		messageAction("retry", "Makes messages due at once.", "Retry", "They are due at once. Suspended messages stay suspended.", queue.RetryNow()),
		messageAction("resubmit", "Routes messages again, as if they were new. Poison messages and bad mail are released.", "Resubmit", "They are routed again, as if they were new. Poison messages and bad mail are submitted as copies.", queue.Resubmit()),
		messageAction("expire", "Expires messages at once.", "Expire", "The senders get the failure report.", queue.Expire()),
		action("/messages/redirect", "Sends messages to another next hop.", planRedirectMessages),
		action("/messages/remove", "Removes messages.", planRemoveMessages),
		action("/replay", "Submits a message that was exported with its envelope.", planReplay).withUpload().bounded(boundExport),
		view("/bad", "Bad mail", "bad.html", "The messages that the relay has set aside for an operator.", showBad).inMenu("Bad mail").bounded(boundSearch),
	}
}
